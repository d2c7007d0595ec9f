"""From one list of device rules to another on v1: nothing is allowed that neither list allows."""

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from onggi.errors import Unsupported
from onggi.resources.device_change import plan_v1_change
from onggi.resources.devices import ALLOW_ALL, DEFAULT_RULES, plan_v1
from onggi.resources.setting import Setting
from support.device_rules import KernelV1, attempts, one_rule
from support.hierarchies import v1

Json = dict[str, Any]
DEVICES = v1("devices")
lists = st.lists(one_rule, min_size=1, max_size=6)


def kernel(lines: list[Setting], onto: KernelV1 | None = None) -> KernelV1:
    made = onto or KernelV1()
    for line in lines:
        made.write(line.file, line.value)
    return made


def planned(rules: list[Json]) -> list[Setting]:
    try:
        return plan_v1(rules, DEVICES)
    except Unsupported:
        assume(False)
        raise


ALL_BLOCK_READ: Json = {"allow": True, "type": "b", "access": "r"}


@example([ALL_BLOCK_READ], [{"allow": True, "type": "b", "major": 0}], ("b", 0, 0, "r"))
@example([{"allow": True, "type": "b", "major": 0}], [ALL_BLOCK_READ], ("b", 0, 0, "r"))
@example(
    [{"allow": True, "type": "b", "major": 0}],
    [{"allow": True, "type": "b", "minor": 0}],
    ("b", 0, 0, "rw"),
)
@example([*ALLOW_ALL], [ALL_BLOCK_READ | {"major": 0}, ALL_BLOCK_READ], ("b", 1, 1, "w"))
@given(lists, lists, attempts)
def test_every_moment_is_within_the_two(
    before: list[Json], after: list[Json], attempt: tuple[str, int, int, str]
) -> None:
    first, last = kernel(planned(before)), kernel(planned(after))
    permitted = (first.permits(*attempt), last.permits(*attempt))
    try:
        lines = plan_v1_change(before, after, first.listed(), DEVICES)
    except Unsupported:
        assert last.allows
        assert not first.allows
        return
    same_base = first.allows == last.allows
    for line in lines:
        first.write(line.file, line.value)
        if not any(permitted):
            assert not first.permits(*attempt)
        if same_base and all(permitted):
            assert first.permits(*attempt)
    assert first.permits(*attempt) == permitted[1]


def test_what_stays_is_not_touched() -> None:
    more = [*DEFAULT_RULES, {"allow": True, "type": "c", "major": 10, "minor": 200}]
    listed = kernel(plan_v1(DEFAULT_RULES, DEVICES)).listed()
    lines = plan_v1_change(DEFAULT_RULES, more, listed, DEVICES)
    assert [(one.file, one.value) for one in lines] == [("devices.allow", "c 10:200 rwm")]
    back = kernel(plan_v1(more, DEVICES)).listed()
    lines = plan_v1_change(more, DEFAULT_RULES, back, DEVICES)
    assert [(one.file, one.value) for one in lines] == [("devices.deny", "c 10:200 rwm")]


def test_what_the_kernel_says_counts_and_not_what_was_written_down() -> None:
    listed = "c *:* m\nc 1:3 rwm"  # somebody took the rest away
    lines = plan_v1_change(DEFAULT_RULES, DEFAULT_RULES, listed, DEVICES)
    assert {one.file for one in lines} == {"devices.allow"}
    now = KernelV1()
    for file, line in (("devices.deny", "a"), ("devices.allow", "c *:* m")):
        now.write(file, line)
    now.write("devices.allow", "c 1:3 rwm")
    assert kernel(lines, now).permits("c", 1, 5, "rw")


def test_all_may_be_allowed_but_not_all_and_then_less() -> None:
    listed = kernel(plan_v1(DEFAULT_RULES, DEVICES)).listed()
    lines = plan_v1_change(DEFAULT_RULES, ALLOW_ALL, listed, DEVICES)
    assert [(one.file, one.value) for one in lines] == [("devices.allow", "a")]
    all_but_disks = [*ALLOW_ALL, {"allow": False, "type": "b"}]
    with pytest.raises(Unsupported, match="without a moment"):
        plan_v1_change(DEFAULT_RULES, all_but_disks, listed, DEVICES)
