"""The assembler of classic BPF, judged by a machine that runs what it makes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.linux.bpf import (
    BPF_ABS,
    BPF_ALU,
    BPF_AND,
    BPF_JA,
    BPF_JEQ,
    BPF_JGE,
    BPF_JGT,
    BPF_JMP,
    BPF_JSET,
    BPF_LD,
    BPF_RET,
    SOCK_FILTER,
    Assembler,
    instruction,
)


def run(program: bytes, word: int) -> int:
    """Run a program on data that begin with `word`, as the kernel would."""
    instructions = list(SOCK_FILTER.iter_unpack(program))
    accumulator, at = 0, 0
    while True:
        code, jt, jf, k = instructions[at]
        at += 1
        if code == BPF_LD | BPF_ABS:
            accumulator = word
        elif code == BPF_ALU | BPF_AND:
            accumulator &= k
        elif code == BPF_RET:
            return int(k)
        elif code == BPF_JMP | BPF_JA:
            at += k
        else:
            at += jt if holds(code & 0xF0, accumulator, k) else jf


def holds(operation: int, accumulator: int, k: int) -> bool:
    results = {
        BPF_JEQ: accumulator == k,
        BPF_JGT: accumulator > k,
        BPF_JGE: accumulator >= k,
        BPF_JSET: accumulator & k != 0,
    }
    return results[operation]


def test_an_instruction_is_eight_bytes() -> None:
    assert instruction(0x15, 1, 2, 0x01020304) == bytes.fromhex("1500 01 02 04030201")
    with pytest.raises(struct.error):
        instruction(0x15, 256, 0, 0)


@pytest.mark.parametrize("distance", [0, 1, 254, 255, 256, 257, 1000, 3000])
@pytest.mark.parametrize("operation", [BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET])
def test_a_branch_reaches_any_distance(distance: int, operation: int) -> None:
    code = Assembler()
    code.load(0)
    code.jump_if(operation, 4, "yes")
    for _ in range(distance):
        code.emit(BPF_ALU | BPF_AND, 0)
    code.answer(1)
    code.label("yes")
    code.answer(2)
    program = code.assemble()
    for word in range(8):
        assert run(program, word) == (2 if holds(operation, word, 4) else 1)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12))
def test_branches_among_each_other(gaps: list[int]) -> None:
    code = Assembler()
    code.load(0)
    for number in range(len(gaps)):
        code.jump_if(BPF_JEQ, number, f"case {number}", f"else {number}")
        code.label(f"else {number}")
    code.jump("default")
    for number, gap in enumerate(gaps):
        for _ in range(gap):
            code.emit(BPF_ALU | BPF_AND, 0)
        code.label(f"case {number}")
        code.answer(1000 + number)
    code.label("default")
    code.answer(7)
    program = code.assemble()
    for number in range(len(gaps)):
        assert run(program, number) == 1000 + number
    assert run(program, len(gaps)) == 7


def test_both_ways_of_a_branch_may_be_long() -> None:
    code = Assembler()
    code.load(0)
    code.jump_if(BPF_JEQ, 1, "yes", "no")
    for _ in range(300):
        code.emit(BPF_ALU | BPF_AND, 0)
    code.label("no")
    code.answer(10)
    code.label("yes")
    code.answer(11)
    program = code.assemble()
    assert (run(program, 1), run(program, 2)) == (11, 10)
    assert len(program) == 8 * (1 + 3 + 300 + 2)
    assert code.assemble() == program


def test_wrong_labels_are_refused() -> None:
    code = Assembler()
    code.label("here")
    with pytest.raises(ValueError, match="can't be placed"):
        code.label("here")
    with pytest.raises(ValueError, match="can't be placed"):
        code.label("")
    code.jump("here")
    with pytest.raises(ValueError, match="backwards"):
        code.assemble()
    lost = Assembler()
    lost.jump("nowhere")
    with pytest.raises(KeyError):
        lost.assemble()
