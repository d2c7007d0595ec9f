"""From one list of device rules to another, for a cgroup of v1 that has processes inside.

The kernel takes one line at a time and obeys it at once. So the lines take away what is no longer
allowed before they give what is new, and first of all they give again, by itself, what both lists
allow by rules of different width: at every moment what both lists allow is allowed, what both deny
is denied, and never is anything allowed that neither list allows.

Source: kernel security/device_cgroup.c, devcgroup_update_access, dev_exception_add and
dev_exception_rm: exceptions are told apart by type and numbers, and each has its accesses.
"""

from __future__ import annotations

from onggi.errors import Unsupported
from onggi.resources.devices import ALL_ACCESS, plan_v1
from onggi.resources.setting import Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, TypeAlias

    from onggi.linux.cgroup import Hierarchy

    Json: TypeAlias = dict[str, Any]
    Exceptions: TypeAlias = dict[str, frozenset[str]]  # "c 1:3" -> accesses

_ALLOW, _DENY = "devices.allow", "devices.deny"


def plan_v1_change(
    before: Sequence[Json], after: Sequence[Json], listed: str, hierarchy: Hierarchy
) -> list[Setting]:
    """Plan the lines that lead from what holds now to what OCI rules `after` say.

    Args: before: the rules that were set last. listed: what devices.list says, which is true of
        what is denied at first; where all is allowed at first it is silent about exceptions.
    Raises: InvalidInput, Unsupported: as `devices.plan_v1`, and a change that could only be made by
        way of a moment in which everything is allowed.
    """
    whole = plan_v1(after, hierarchy)
    allowed, exceptions = _held((one.file, one.value) for one in whole)
    now_allowed, now = _now(before, listed, hierarchy)
    if allowed and not now_allowed and exceptions:
        raise Unsupported(
            "cgroup v1 can't go from what is allowed to what is denied without a moment in which "
            "everything is allowed"
        )
    if allowed != now_allowed:  # the first line says which; of the rest only what it comes to
        return [*whole[:1], *_lines(hierarchy, _ALLOW, exceptions, "allowed from now on")]
    if allowed:
        return [
            *_lines(hierarchy, _DENY, _less(exceptions, now), "no longer allowed"),
            *_lines(hierarchy, _ALLOW, _less(now, exceptions), "allowed from now on"),
        ]
    both = _both(now, exceptions)
    return [
        *_lines(hierarchy, _ALLOW, _less(both, now), "still allowed, by another rule"),
        *_lines(hierarchy, _DENY, _less(_less(now, exceptions), both), "no longer allowed"),
        *_lines(hierarchy, _ALLOW, _less(_less(exceptions, now), both), "allowed from now on"),
        *_lines(hierarchy, _DENY, _less(both, exceptions), "allowed by a wider rule now"),
    ]


def _both(some: Exceptions, others: Exceptions) -> Exceptions:
    """Return what a rule that goes and one that comes allow together."""
    held: Exceptions = {}
    going, coming = _less(some, others), _less(others, some)
    for one, access in going.items():
        for other, of_other in coming.items():
            device = _meet(one, other)
            if device and access & of_other:
                held[device] = held.get(device, frozenset()) | (access & of_other)
    return held


def _meet(one: str, other: str) -> str | None:
    """Name the devices that two rules cover, such as "c 1:3" for "c 1:*" and "c *:3"."""
    pairs = list(zip(_parts(one), _parts(other), strict=True))
    if any(left != right and "*" not in (left, right) for left, right in pairs):
        return None
    kind, major, minor = (right if left == "*" else left for left, right in pairs)
    return f"{kind} {major}:{minor}"


def _parts(device: str) -> list[str]:
    return device.replace(":", " ").split()


def _held(lines: Iterable[tuple[str, str]]) -> tuple[bool, Exceptions]:
    """Return what lines lead to: whether all is allowed at first, and the exceptions from it."""
    allowed, held = True, dict[str, frozenset[str]]()
    for file, line in lines:
        device, _, access = line.rpartition(" ")
        if line == "a":
            allowed, held = file == _ALLOW, {}
        elif (file == _ALLOW) != allowed:
            held[device] = held.get(device, frozenset()) | frozenset(access)
        else:
            held[device] = held.get(device, frozenset()) - frozenset(access)
    return allowed, {device: access for device, access in held.items() if access}


def _now(before: Sequence[Json], listed: str, hierarchy: Hierarchy) -> tuple[bool, Exceptions]:
    lines = listed.splitlines()
    if any(line.startswith("a ") for line in lines):
        allowed, exceptions = _held((one.file, one.value) for one in plan_v1(before, hierarchy))
        return True, exceptions if allowed else {}
    return _held([(_DENY, "a"), *((_ALLOW, line) for line in lines)])


def _less(some: Exceptions, others: Exceptions) -> Exceptions:
    """Return what is in `some` beyond what is in `others`."""
    left = {device: access - others.get(device, frozenset()) for device, access in some.items()}
    return {device: access for device, access in left.items() if access}


def _lines(hierarchy: Hierarchy, file: str, exceptions: Exceptions, reason: str) -> list[Setting]:
    return [
        Setting(
            hierarchy=hierarchy,
            file=file,
            value=f"{device} {''.join(each for each in ALL_ACCESS if each in access)}",
            reason=reason,
        )
        for device, access in exceptions.items()
    ]
