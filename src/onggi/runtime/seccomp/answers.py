"""What a compiled filter may answer to a call, whatever the call's arguments are.

The program is walked as the kernel would run it, with the architecture and the number known and
everything else unknown: where a jump depends on an argument, both ways are taken. So what is
reported is what the kernel's own copy of the program can say, not what some profile meant.

Source: seccomp(2); Documentation/networking/filter.rst.
"""

from __future__ import annotations

import struct

from onggi.errors import Corrupt
from onggi.linux import bpf
from onggi.linux import seccomp as facts
from onggi.runtime.seccomp.compile import ABIS
from onggi.runtime.seccomp.program import AND, JEQ, JGE, JGT, JUMP, LOAD, RETURN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_INSTRUCTION = struct.Struct("=HBBI")
_ACTION = 0xFFFF0000
_PASSING = (facts.SECCOMP_RET_ALLOW, facts.SECCOMP_RET_LOG)

# Calls of the kernel's own probes, about which no filter is asked: kernel/seccomp.c,
# seccomp_uprobe_exception. Since: Linux 6.15; kernels before do not have them, or refuse them to
# all but those probes.
_PAST_FILTERS = ("uretprobe", "uprobe")

ALLOWED = "allowed"
REFUSED = "refused"
BY_ARGUMENTS = "by arguments"

_TESTS: dict[int, Callable[[int, int], bool]] = {
    JEQ: lambda word, k: word == k,
    JGT: lambda word, k: word > k,
    JGE: lambda word, k: word >= k,
    bpf.BPF_JMP | bpf.BPF_JSET | bpf.BPF_K: lambda word, k: bool(word & k),
}


class Answers:
    """A compiled filter that can be asked."""

    __slots__ = ("_code",)

    def __init__(self, program: bytes) -> None:
        self._code = list(_INSTRUCTION.iter_unpack(program))

    def possible(self, architecture: int, number: int) -> frozenset[int]:
        """Return every answer (SECCOMP_RET_*, without data) that some arguments get."""
        known = {facts.OFFSET_ARCH: architecture, facts.OFFSET_NR: number}
        pending: list[tuple[int, int | None]] = [(0, 0)]
        seen, answers = set(pending), set()
        while pending:
            at, word = pending.pop()
            code, jt, jf, k = self._code[at]
            if code == RETURN:
                answers.add(k & _ACTION)
                continue
            for step in _steps(at + 1, code, (jt, jf, k), word, known):
                if step not in seen:
                    seen.add(step)
                    pending.append(step)
        return frozenset(answers)


def _steps(
    after: int, code: int, operands: tuple[int, int, int], word: int | None, known: dict[int, int]
) -> list[tuple[int, int | None]]:
    """Return where the program may go on, each with the word that is loaded; None is unknown."""
    jt, jf, k = operands
    if code == LOAD:
        return [(after, known.get(k))]
    if code == AND:
        return [(after, None if word is None else word & k)]
    if code == JUMP:
        return [(after + k, word)]
    if code not in _TESTS:
        raise Corrupt(f"instruction {code:#x} is none of a filter's")
    if word is None:
        return [(after + jt, word), (after + jf, word)]
    return [(after + (jt if _TESTS[code](word, k) else jf), word)]


def judged(program: bytes, machine: str) -> dict[str, str]:
    """Tell of each call of a machine, by name: ALLOWED, REFUSED or BY_ARGUMENTS.

    A call counts as refused only if it is through every ABI that has it, as a program may use any.
    """
    answers = Answers(program)
    found: dict[str, set[int]] = {}
    for abi in ABIS[machine]:
        for name, number in abi.numbers.items():
            found.setdefault(name, set()).update(answers.possible(abi.audit_arch, number))
    native = ABIS[machine][0].numbers
    verdicts = {name: _verdict(found[name]) for name in sorted(native)}
    return verdicts | {name: ALLOWED for name in _PAST_FILTERS if name in native}


def _verdict(answers: set[int]) -> str:
    passing = answers.intersection(_PASSING)
    if not passing:
        return REFUSED
    return ALLOWED if passing == answers else BY_ARGUMENTS
