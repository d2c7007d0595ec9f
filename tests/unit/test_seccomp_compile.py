"""Whatever a profile says, the compiled filter answers so: operators, actions, ABIs, limits."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onggi.errors import InvalidInput, Unsupported
from onggi.linux import seccomp as facts
from onggi.linux.syscall_table import TABLES
from onggi.runtime.seccomp.compile import compile_filter
from onggi.runtime.seccomp.flags import filter_flags
from support.classic_bpf import Filter

X86_64, I386 = facts.AUDIT_ARCH_X86_64, facts.AUDIT_ARCH_I386
ALLOWED, REFUSED, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
KILLED = 0
LAST = TABLES["x86_64"]["clone3"]

ALL_ABIS = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def rule(*names: str, action: str = "ALLOW", **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": f"SCMP_ACT_{action}", **more}


def arg(index: int, op: str, value: int, value_two: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": value_two}


def profile(*rules: dict[str, Any], default: str = "ERRNO", **more: Any) -> dict[str, Any]:
    return {
        "defaultAction": f"SCMP_ACT_{default}",
        "architectures": ALL_ABIS,
        "syscalls": [*rules, rule("clone3")],
        **more,
    }


def compiled(*rules: dict[str, Any], **more: Any) -> Filter:
    return Filter(compile_filter(profile(*rules, **more)))


def asked(judge: Filter, name: str, *arguments: int, abi: str = "x86_64") -> int:
    return judge.answer(I386 if abi == "x86" else X86_64, TABLES[abi][name], *arguments)


# Comparisons.

PLAIN: dict[str, Callable[[int, int], bool]] = {
    "NE": operator.ne,
    "LT": operator.lt,
    "LE": operator.le,
    "EQ": operator.eq,
    "GE": operator.ge,
    "GT": operator.gt,
}
EDGES = [0, 1, 37, 38, 39, 2**31, 2**32 - 1, 2**32, 2**32 + 38, 2**63, 2**64 - 1]


@pytest.mark.parametrize("comparison", PLAIN)
def test_comparisons_are_of_64_bits_or_of_32(comparison: str) -> None:
    for value in EDGES:
        judge = compiled(rule("read", args=[arg(2, comparison, value)]))
        for given_value in EDGES:
            holds = PLAIN[comparison](given_value, value)
            assert (asked(judge, "read", 0, 0, given_value) == ALLOWED) is holds
            for abi in ("x86", "x32"):
                holds = PLAIN[comparison](given_value % 2**32, value % 2**32)
                assert (asked(judge, "read", 0, 0, given_value, abi=abi) == ALLOWED) is holds


@pytest.mark.parametrize("mask", [0, 0xFF, 0xFFFFFFFF, 0xFF << 32, 2**64 - 1])
def test_masked_comparison(mask: int) -> None:
    for value in EDGES:
        judge = compiled(rule("read", args=[arg(0, "MASKED_EQ", mask, value)]))
        for given_value in EDGES:
            holds = given_value & mask == value & mask
            assert (asked(judge, "read", given_value) == ALLOWED) is holds
            holds = (given_value ^ value) & mask & 0xFFFFFFFF == 0
            assert (asked(judge, "read", given_value, abi="x86") == ALLOWED) is holds


def test_all_comparisons_of_a_rule_must_hold() -> None:
    judge = compiled(rule("read", args=[arg(5, "LT", 3), arg(0, "NE", 7)]))
    assert asked(judge, "read", 1, 0, 0, 0, 0, 2) == ALLOWED
    assert asked(judge, "read", 7, 0, 0, 0, 0, 2) == REFUSED
    assert asked(judge, "read", 1, 0, 0, 0, 0, 3) == REFUSED


def test_any_rule_of_a_call_is_enough() -> None:
    judge = compiled(*(rule("read", args=[arg(0, "EQ", value)]) for value in (1, 5, 9)))
    assert [asked(judge, "read", n) == ALLOWED for n in range(10)].count(True) == 3


def test_two_comparisons_of_one_argument_are_two_rules_as_in_runc() -> None:
    judge = compiled(rule("read", args=[arg(0, "LT", 3), arg(0, "GT", 7), arg(1, "EQ", 1)]))
    assert [asked(judge, "read", n) == ALLOWED for n in (2, 3, 7, 8)] == [True, False, False, True]
    assert asked(judge, "read", 5, 1) == ALLOWED


def test_a_rule_without_comparisons_beats_those_with_some() -> None:
    conditional = rule("read", action="KILL_PROCESS", args=[arg(0, "EQ", 1)])
    for rules in ([conditional, rule("read")], [rule("read"), conditional]):
        assert asked(compiled(*rules), "read", 1) == ALLOWED


def test_otherwise_the_first_rule_that_holds_counts() -> None:
    first = rule("read", action="KILL_PROCESS", args=[arg(0, "GT", 1)])
    second = rule("read", args=[arg(0, "GT", 2)])
    assert asked(compiled(first, second), "read", 3) == facts.SECCOMP_RET_KILL_PROCESS
    assert asked(compiled(second, first), "read", 3) == ALLOWED


CONDITION = st.builds(
    arg,
    st.integers(0, 5),
    st.sampled_from([*PLAIN, "MASKED_EQ"]),
    st.sampled_from(EDGES),
    st.sampled_from(EDGES),
)


def holds(condition: dict[str, Any], arguments: list[int]) -> bool:
    comparison = condition["op"].removeprefix("SCMP_CMP_")
    value = arguments[condition["index"]]
    if comparison == "MASKED_EQ":
        mask = condition["value"]
        return bool(value & mask == condition["valueTwo"] & mask)
    return PLAIN[comparison](value, condition["value"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(CONDITION, max_size=6, unique_by=lambda condition: condition["index"]), max_size=20
    ),
    st.lists(st.sampled_from(EDGES), min_size=6, max_size=6),
)
def test_any_rules_of_any_comparisons(
    rules: list[list[dict[str, Any]]], arguments: list[int]
) -> None:
    judge = compiled(*(rule("read", args=args) for args in rules))
    expected = any(all(holds(condition, arguments) for condition in args) for args in rules)
    assert (asked(judge, "read", *arguments) == ALLOWED) is expected


# Actions.


@pytest.mark.parametrize(
    ("action", "errno_ret", "expected"),
    [
        ("KILL", None, 0x00000000),
        ("KILL_THREAD", None, 0x00000000),
        ("KILL_PROCESS", None, 0x80000000),
        ("TRAP", None, 0x00030000),
        ("ERRNO", None, 0x00050001),
        ("ERRNO", 0, 0x00050000),
        ("ERRNO", 99, 0x00050063),
        ("TRACE", None, 0x7FF00001),
        ("TRACE", 7, 0x7FF00007),
        ("LOG", None, 0x7FFC0000),
        ("ALLOW", None, 0x7FFF0000),
        ("NOTIFY", None, 0x7FC00000),
    ],
)
def test_actions(action: str, errno_ret: int | None, expected: int) -> None:
    more = {} if errno_ret is None else {"errnoRet": errno_ret}
    judge = compiled(rule("read", action=action, **more), defaultErrnoRet=13)
    assert asked(judge, "read") == expected
    if action != "NOTIFY":
        default = {} if errno_ret is None else {"defaultErrnoRet": errno_ret}
        judge = compiled(rule("read", action="ALLOW"), default=action, **default)
        assert asked(judge, "write") == expected


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (profile(rule("read", action="PERHAPS")), "unknown seccomp action 'SCMP_ACT_PERHAPS'"),
        (profile(default="NOTIFY"), "can't be the default"),
        (profile(rule("write", action="NOTIFY")), "can't be used for write"),
        (profile(rule("read", errnoRet=1)), "SCMP_ACT_ALLOW can't return an errno"),
        (profile(rule("read", args=[arg(6, "EQ", 1)])), "have no argument 6"),
        (profile(rule("read", args=[arg(0, "ABOUT", 1)])), "unknown seccomp operator"),
        (profile(architectures=["SCMP_ARCH_VAX"]), "unknown seccomp architecture"),
    ],
)
def test_nonsense_is_refused_by_name(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        compile_filter(document)


def test_unknown_machines_are_refused() -> None:
    with pytest.raises(Unsupported, match="'vax'"):
        compile_filter(profile(), "vax")


def test_unknown_calls_are_ignored() -> None:
    assert compile_filter(profile(rule("frobnicate"))) == compile_filter(profile())


def test_rules_that_answer_as_the_default_does_are_ignored() -> None:
    judge = compiled(rule("read", action="ERRNO", errnoRet=1), rule("read"))
    assert asked(judge, "read") == ALLOWED


# ABIs, and calls newer than the profile.


def test_calls_newer_than_any_named_are_unknown() -> None:
    judge = compiled(rule("read"))
    for abi, architecture in (("x86_64", X86_64), ("x86", I386), ("x32", X86_64)):
        last = TABLES[abi]["clone3"]
        assert judge.answer(architecture, last - 1) == REFUSED
        assert judge.answer(architecture, last + 1) == ENOSYS
    assert judge.answer(X86_64, 0xFFFFFFFF) == ENOSYS  # it passes for a call of x32


@pytest.mark.parametrize("default", ["ALLOW", "LOG", "TRACE"])
def test_a_default_that_permits_knows_no_newer_calls(default: str) -> None:
    judge = compiled(rule("read", action="KILL"), default=default)
    assert asked(judge, "write") == judge.answer(X86_64, 2000)


def test_a_profile_without_names_knows_no_newer_calls() -> None:
    judge = Filter(compile_filter({"defaultAction": "SCMP_ACT_ERRNO"}))
    assert judge.answer(X86_64, 2000) == REFUSED


def test_unlisted_abis_kill() -> None:
    judge = compiled(rule("read"), architectures=[])
    assert asked(judge, "read") == ALLOWED
    assert asked(judge, "read", abi="x86") == KILLED
    assert asked(judge, "read", abi="x32") == KILLED
    assert judge.answer(facts.AUDIT_ARCH_ARM, 0) == KILLED
    assert judge.answer(X86_64, 0xFFFFFFFF) == REFUSED  # a tracer's -1 is no call of x32


def test_other_machines_architectures_are_allowed_to_be_listed() -> None:
    listed = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_X86"]
    judge = compiled(rule("read"), architectures=listed)
    assert asked(judge, "read") == asked(judge, "read", abi="x86") == ALLOWED


def test_arm() -> None:
    document = profile(rule("read", "set_tls"), architectures=["SCMP_ARCH_ARM"])
    judge = Filter(compile_filter(document, "aarch64"))
    assert judge.answer(facts.AUDIT_ARCH_AARCH64, TABLES["aarch64"]["read"]) == ALLOWED
    assert judge.answer(facts.AUDIT_ARCH_ARM, 0xF0005) == ALLOWED
    assert judge.answer(facts.AUDIT_ARCH_ARM, 0xF0004) == REFUSED
    assert judge.answer(facts.AUDIT_ARCH_ARM, 0xF0006) == ENOSYS
    assert judge.answer(X86_64, 0) == KILLED


def test_both_doors_of_i386() -> None:
    judge = compiled(rule("socket", args=[arg(0, "EQ", 2)]), rule("shmat"), rule("accept"))
    assert asked(judge, "socket", 2, abi="x86") == ALLOWED
    assert asked(judge, "socket", 3, abi="x86") == REFUSED
    assert asked(judge, "socketcall", 1, abi="x86") == ALLOWED  # whichever family
    assert asked(judge, "socketcall", 5, abi="x86") == ALLOWED
    assert asked(judge, "socketcall", 2, abi="x86") == REFUSED
    assert asked(judge, "shmat", abi="x86") == asked(judge, "ipc", 21, abi="x86") == ALLOWED
    assert asked(judge, "ipc", 22, abi="x86") == REFUSED


# Size.


def test_far_jumps() -> None:
    many = [rule("read", args=[arg(0, "EQ", value)]) for value in range(300)]
    judge = compiled(*many, rule("open"))
    assert len(judge) > 3 * 255
    for abi in ("x86_64", "x86", "x32"):
        assert asked(judge, "read", 299, abi=abi) == asked(judge, "open", abi=abi) == ALLOWED
        assert asked(judge, "read", 300, abi=abi) == asked(judge, "write", abi=abi) == REFUSED


def test_what_the_kernel_cannot_take_is_refused() -> None:
    many = [rule("read", args=[arg(0, "EQ", value)]) for value in range(500)]
    with pytest.raises(InvalidInput, match=r"needs \d+ instructions \(the kernel takes 4096"):
        compile_filter(profile(*many))


# Flags.


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (None, 4),
        ([], 0),
        (["SECCOMP_FILTER_FLAG_TSYNC"], 0),
        (["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], 6),
        (["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_LOG"], 2),
    ],
)
def test_flags(flags: list[str] | None, expected: int) -> None:
    more: dict[str, Any] = {} if flags is None else {"flags": flags}
    assert filter_flags(profile(**more)) == expected
    assert filter_flags(profile(rule("read", action="NOTIFY"), **more)) == expected | 8


def test_unknown_flags_are_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown seccomp flag 'FAST'"):
        filter_flags(profile(flags=["FAST"]))
