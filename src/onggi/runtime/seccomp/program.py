"""Verdicts as a program in classic BPF.

Every piece of code here ends by answering, so pieces can be put one behind the other and only
forward jumps over whole pieces are needed. A call's number is found by halving: about nine
comparisons for a table of 400 calls.

Source: seccomp(2); Documentation/networking/filter.rst.
"""

from __future__ import annotations

from onggi.linux import bpf
from onggi.linux import seccomp as facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from onggi.runtime.seccomp.rules import Alternative, Condition, Verdict

    Instruction: TypeAlias = tuple[int, int, int, int]  # code, jt, jf, k
    Code: TypeAlias = list[Instruction]
    # The verdict of all numbers from the first up to the next segment's.
    Segment: TypeAlias = tuple[int, Verdict]

LOAD = bpf.BPF_LD | bpf.BPF_W | bpf.BPF_ABS
AND = bpf.BPF_ALU | bpf.BPF_AND | bpf.BPF_K
JUMP = bpf.BPF_JMP | bpf.BPF_JA
JEQ = bpf.BPF_JMP | bpf.BPF_JEQ | bpf.BPF_K
JGT = bpf.BPF_JMP | bpf.BPF_JGT | bpf.BPF_K
JGE = bpf.BPF_JMP | bpf.BPF_JGE | bpf.BPF_K
RETURN = bpf.BPF_RET | bpf.BPF_K

# Comparison -> how the lower halves are compared, and whether that must succeed or fail.
LOWER_HALVES = {
    "EQ": (JEQ, True),
    "MASKED_EQ": (JEQ, True),
    "NE": (JEQ, False),
    "GT": (JGT, True),
    "LE": (JGT, False),
    "GE": (JGE, True),
    "LT": (JGE, False),
}


def encode(code: Code) -> bytes:
    """Return the instructions as an array of struct sock_filter."""
    return b"".join([bpf.instruction(*instruction) for instruction in code])


def load(offset: int) -> Instruction:
    """Load the word at `offset` of struct seccomp_data."""
    return LOAD, 0, 0, offset


def give(value: int) -> Instruction:
    """Answer."""
    return RETURN, 0, 0, value


def either(test: int, k: int, yes: Code, no: Code) -> Code:
    """Go on with `yes` if the loaded word passes the test against `k`, with `no` otherwise."""
    if len(no) <= bpf.MAX_JUMP:
        return [(test, len(no), 0, k), *no, *yes]
    return [(test, 0, 1, k), (JUMP, 0, 0, len(no)), *no, *yes]


def by_number(found: dict[int, Verdict], default: Verdict, *, wide: bool) -> Code:
    """Judge the loaded word as a call's number."""
    return _halve(_segments(found, default), wide=wide)


def _segments(found: dict[int, Verdict], default: Verdict) -> list[Segment]:
    """Cut all numbers into runs of one verdict."""
    segments: list[Segment] = []
    expected = 0
    for number in sorted(found):
        if number > expected:
            _append(segments, expected, default)
        _append(segments, number, found[number])
        expected = number + 1
    _append(segments, expected, default)
    return segments


def _append(segments: list[Segment], start: int, verdict: Verdict) -> None:
    if not segments or segments[-1][1] != verdict:
        segments.append((start, verdict))


def _halve(segments: list[Segment], *, wide: bool) -> Code:
    if len(segments) == 1:
        return _judge(segments[0][1], wide=wide)
    middle = len(segments) // 2
    lower = _halve(segments[:middle], wide=wide)
    upper = _halve(segments[middle:], wide=wide)
    return either(JGE, segments[middle][0], upper, lower)


def _judge(verdict: Verdict, *, wide: bool) -> Code:
    """Try the alternatives one after the other."""
    return [line for alternative in verdict for line in _alternative(alternative, wide=wide)]


def _alternative(alternative: Alternative, *, wide: bool) -> Code:
    """Answer if all conditions hold; fall behind the end of this code if not."""
    conditions, value = alternative
    code = [give(value)]
    for condition in reversed(conditions):
        code = [*_compare(condition, len(code), wide=wide), *code]
    return code


def _compare(condition: Condition, skipped: int, *, wide: bool) -> Code:
    """Fall through if the condition holds; skip that many instructions more if not."""
    index, comparison, value, mask = condition
    offset = facts.OFFSET_ARGS + 8 * index  # the lower half comes first on both machines
    test, wanted = LOWER_HALVES[comparison]
    code = _half(offset, test, value & 0xFFFFFFFF, mask & 0xFFFFFFFF, wanted, skipped)
    if not wide:
        return code
    high, high_mask = value >> 32, mask >> 32
    if comparison in ("EQ", "MASKED_EQ"):
        return [*_half(offset + 4, JEQ, high, high_mask, True, skipped + len(code)), *code]
    if comparison == "NE":
        return [load(offset + 4), (JEQ, 0, len(code), high), *code]
    return [*_order(offset + 4, high, wanted, skipped, len(code)), *code]


def _half(offset: int, test: int, value: int, mask: int, wanted: bool, skipped: int) -> Code:
    """Compare one half under a mask; nothing to do where the mask is empty."""
    if not mask:
        return []
    masking = [(AND, 0, 0, mask)] if mask != 0xFFFFFFFF else []
    jumps = (0, skipped) if wanted else (skipped, 0)
    return [load(offset), *masking, (test, *jumps, value)]


def _order(offset: int, high: int, wanted: bool, skipped: int, rest: int) -> Code:
    """Decide an order by the upper halves, unless they are equal: then the `rest` decides.

    `wanted` says whether the greater argument holds (GT, GE) or fails (LT, LE).
    """
    holds, fails = rest, rest + skipped
    greater, smaller = (holds, fails) if wanted else (fails, holds)
    return [load(offset), (JGT, greater + 1, 0, high), (JEQ, 0, smaller, high)]
