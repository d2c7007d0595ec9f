"""Device rules: three readings of one list, which must agree.

The reference is the sentence in `onggi.resources.devices`. Against it stand an interpreter of the
BPF program and a model of what the kernel makes of v1's lines.
"""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.errors import InvalidInput, Unsupported
from onggi.resources.device_program import ACCESSES, KINDS, device_program
from onggi.resources.devices import (
    ALLOW_ALL,
    DEFAULT_RULES,
    device_hierarchy,
    parse_rules,
    plan_v1,
)
from support.device_rules import KernelV1, attempts, one_rule
from support.hierarchies import hybrid, legacy, unified, v1

Json = dict[str, Any]
DEVICES = v1("devices")


def reference(rules: list[Json], kind: str, major: int, minor: int, access: str) -> bool:
    """Decide each access by the last rule that covers it."""
    return all(_one(rules, kind, major, minor, each) for each in access)


def _one(rules: list[Json], kind: str, major: int, minor: int, access: str) -> bool:
    for rule in reversed(rules):
        if (
            rule.get("type", "a") in ("a", kind)
            and rule.get("major", major) in (major, -1)
            and rule.get("minor", minor) in (minor, -1)
            and access in rule.get("access", "rwm")
        ):
            return bool(rule["allow"])
    return False


def run(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """Interpret the program as the kernel would, for one attempt."""
    mask = sum(ACCESSES[each] for each in access)
    context = struct.pack("<III", mask << 16 | KINDS[kind], major, minor)
    registers = [0] * 11
    position, steps = 0, 0
    code = [struct.unpack_from("<BBhi", program, at) for at in range(0, len(program), 8)]
    while True:
        opcode, pair, offset, number = code[position]
        target, source = pair & 15, pair >> 4
        position, steps = position + 1, steps + 1
        assert steps <= len(code), "the program only jumps forward"
        if opcode == 0x61:
            registers[target] = struct.unpack_from("<I", context, offset)[0]
        elif opcode == 0xB4:
            registers[target] = number
        elif opcode == 0xBC:
            registers[target] = registers[source]
        elif opcode == 0x54:
            registers[target] &= number
        elif opcode == 0x74:
            registers[target] >>= number
        elif opcode in (0x15, 0x55):
            position += offset if (registers[target] == number) == (opcode == 0x15) else 0
        else:
            assert opcode == 0x95, f"unknown instruction {opcode:#x}"
            return bool(registers[0])


def kernel(rules: list[Json]) -> KernelV1:
    made = KernelV1()
    for setting in plan_v1(rules, DEVICES):
        made.write(setting.file, setting.value)
    return made


@given(st.lists(one_rule, min_size=1, max_size=8), attempts)
def test_the_program_reads_rules_as_stated(
    rules: list[Json], attempt: tuple[str, int, int, str]
) -> None:
    assert run(device_program(rules), *attempt) == reference(rules, *attempt)


@given(st.lists(one_rule, min_size=1, max_size=6), attempts)
def test_v1_reads_rules_as_stated_or_refuses_them(
    rules: list[Json], attempt: tuple[str, int, int, str]
) -> None:
    try:
        made = kernel(rules)
    except Unsupported:
        return
    kind, major, minor, access = attempt
    for each in access:
        assert made.permits(kind, major, minor, each) == _one(rules, kind, major, minor, each)
    # Several accesses at once v1 may refuse where each alone is allowed, never the other way.
    assert reference(rules, *attempt) or not made.permits(*attempt)


ATTEMPTS = [
    ("c", 1, 3, "rw", True),
    ("c", 1, 9, "r", True),
    ("c", 136, 7, "rw", True),
    ("c", 5, 2, "rw", True),
    ("c", 1, 1, "r", False),  # /dev/mem
    ("c", 1, 1, "m", True),
    ("b", 8, 0, "m", True),
    ("b", 8, 0, "r", False),
    ("b", 8, 0, "w", False),
    ("c", 10, 229, "rw", False),  # /dev/fuse
    ("c", 10, 200, "rw", False),  # /dev/net/tun
]


@pytest.mark.parametrize(("kind", "major", "minor", "access", "allowed"), ATTEMPTS)
def test_the_default_rules(kind: str, major: int, minor: int, access: str, allowed: bool) -> None:
    rules = list(DEFAULT_RULES)
    assert reference(rules, kind, major, minor, access) == allowed
    assert run(device_program(rules), kind, major, minor, access) == allowed
    assert kernel(rules).permits(kind, major, minor, access) == allowed


def test_the_default_lines_of_v1() -> None:
    lines = [(each.file, each.value) for each in plan_v1(DEFAULT_RULES, DEVICES)]
    assert lines[:4] == [
        ("devices.deny", "a"),
        ("devices.allow", "c *:* m"),
        ("devices.allow", "b *:* m"),
        ("devices.allow", "c 1:3 rwm"),
    ]
    assert lines[-1] == ("devices.allow", "c 136:* rwm")


def test_a_privileged_container_may_do_all() -> None:
    assert [each.value for each in plan_v1(ALLOW_ALL, DEVICES)] == ["a"]
    assert run(device_program(ALLOW_ALL), "b", 8, 0, "rwm")


def test_no_rules_no_restriction() -> None:
    assert plan_v1([], DEVICES) == []
    assert device_program([]) == b""


def test_a_list_that_never_says_deny_begins_with_it() -> None:
    rules = [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}]
    assert plan_v1(rules, DEVICES)[0].file == "devices.deny"
    assert not run(device_program(rules), "b", 8, 0, "r")


def test_a_hole_that_v1_would_ignore_is_refused() -> None:
    rules = [
        {"allow": True, "type": "c", "major": 1, "access": "rw"},
        {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "w"},
    ]
    with pytest.raises(Unsupported, match=r"cannot take 'c 1:3 w' back from 'c 1:\* rw'"):
        plan_v1(rules, DEVICES)
    assert run(device_program(rules), "c", 1, 3, "r")
    assert not run(device_program(rules), "c", 1, 3, "rw")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"type": "p"}, "invalid device type 'p'"),
        ({"access": "rx"}, "invalid device access 'rx'"),
        ({"major": -2}, "invalid device major number -2"),
        ({"major": 4096}, "invalid device major number 4096"),
        ({"minor": 1 << 20}, "invalid device minor number"),
    ],
)
def test_rules_that_no_device_could_meet(rule: Json, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_rules([{"allow": True, **rule}])


def test_where_the_rules_go() -> None:
    for hierarchies in (legacy(), hybrid(), hybrid()[::-1]):
        assert device_hierarchy(hierarchies).controllers == ("devices",)
    assert device_hierarchy(unified()).version == 2
    with pytest.raises(Unsupported, match=r"neither cgroup v2 nor .* is mounted"):
        device_hierarchy([v1("cpu")])
