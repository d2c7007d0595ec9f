"""What a filter may answer, whatever the arguments: against asking it with many."""

import random

import pytest

from onggi.errors import Corrupt
from onggi.linux import bpf
from onggi.linux import seccomp as facts
from onggi.runtime.capabilities import DEFAULT
from onggi.runtime.seccomp.answers import ALLOWED, BY_ARGUMENTS, REFUSED, Answers, judged
from onggi.runtime.seccomp.compile import ABIS, compile_filter
from onggi.runtime.seccomp.profile import default_profile
from support.classic_bpf import Filter

# What the default profile compares with, and what lies beside it.
VALUES = [0, 1, 8, 38, 40, 0x20000, 0x20008, 0x10000000, 0x7E020000, 2**32 - 1, 2**64 - 1]


@pytest.mark.parametrize("machine", ABIS)
@pytest.mark.parametrize("held", [DEFAULT, (*DEFAULT, "CAP_SYS_ADMIN"), ()])
def test_it_is_what_the_filter_answers(machine: str, held: tuple[str, ...]) -> None:
    program = compile_filter(default_profile(held, machine, (6, 18)), machine)
    asked, walked = Filter(program), Answers(program)
    chance = random.Random(7)
    for abi in ABIS[machine]:
        for number in abi.numbers.values():
            calls = [[chance.choice(VALUES) for _ in range(6)] for _ in range(20)]
            given = {asked.answer(abi.audit_arch, number, *call) & 0xFFFF0000 for call in calls}
            assert given <= walked.possible(abi.audit_arch, number)


def test_the_default_filter_for_people() -> None:
    program = compile_filter(default_profile(DEFAULT, "x86_64", (6, 18)))
    verdicts = judged(program, "x86_64")
    told = {
        kind: {n for n, one in verdicts.items() if one == kind} for kind in set(verdicts.values())
    }
    assert told[BY_ARGUMENTS] == {"clone", "personality", "socket"}
    assert {"mount", "bpf", "keyctl", "io_uring_setup", "userfaultfd"} <= told[REFUSED]
    assert {"read", "execve", "ptrace"} <= told[ALLOWED]


def test_a_call_that_one_abi_lets_through_is_not_refused() -> None:
    """Refused to 64-bit programs alone, it is open to those who call as 32-bit programs do."""
    abis = {abi.name: abi for abi in ABIS["x86_64"]}
    refuse = [(bpf.BPF_RET | bpf.BPF_K, 0, 0, facts.SECCOMP_RET_ERRNO | 1)]
    allow = [(bpf.BPF_RET | bpf.BPF_K, 0, 0, facts.SECCOMP_RET_ALLOW)]
    load = (bpf.BPF_LD | bpf.BPF_W | bpf.BPF_ABS, 0, 0, facts.OFFSET_ARCH)
    test = (bpf.BPF_JMP | bpf.BPF_JEQ | bpf.BPF_K, 0, 1, abis["x86_64"].audit_arch)
    code = b"".join(bpf.instruction(*each) for each in (load, test, *refuse, *allow))
    verdicts = judged(code, "x86_64")
    assert verdicts["keyctl"] == BY_ARGUMENTS
    assert verdicts["arch_prctl"] == BY_ARGUMENTS
    assert verdicts["tuxcall"] == REFUSED  # only 64-bit programs have it


def test_what_is_no_filter_is_refused() -> None:
    with pytest.raises(Corrupt):
        Answers(bpf.instruction(0x87, 0, 0, 0)).possible(0, 0)
