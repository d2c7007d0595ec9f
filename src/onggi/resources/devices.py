"""Which device files a container may make, read and write.

OCI gives a list of rules. Ours is the reading that both versions of cgroups can hold: each of the
accesses asked for (mknod, read, write) is decided by the last rule that covers the device and
that access, and without such a rule it is denied.

In v1 the rules become lines for devices.deny and devices.allow. In v2 there is no such file: a
small BPF program, run by the kernel at each open and mknod, decides (`device_program`).

Source: runtime-spec config-linux.md, "Allowed Device List"; kernel
Documentation/admin-guide/cgroup-v1/devices.rst and security/device_cgroup.c; cgroup-v2.rst,
"Device controller"; opencontainers/cgroups devices/, for the refusal of holes.
"""

from __future__ import annotations

from onggi.errors import InvalidInput, Unsupported
from onggi.resources.setting import Setting
from onggi.resources.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    from onggi.linux.cgroup import Hierarchy

    Json: TypeAlias = dict[str, Any]

ALL_ACCESS = "rwm"


def _allow(kind: str, major: int | None, minor: int | None, access: str = ALL_ACCESS) -> Json:
    rule: Json = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


# What a container may do when nothing else is asked for: what runc and docker allow, less 5:1,
# which is the host's console; a container's own is a pseudoterminal.
# Numbers: kernel Documentation/admin-guide/devices.txt.
# Source: opencontainers/runc specconv/spec_linux.go, AllowedDevices; moby oci/defaults.go.
DEFAULT_RULES: tuple[Json, ...] = (
    {"allow": False, "access": ALL_ACCESS},
    _allow("c", None, None, "m"),  # make any device file: useless without the right to open it
    _allow("b", None, None, "m"),
    _allow("c", 1, 3),  # null
    _allow("c", 1, 5),  # zero
    _allow("c", 1, 7),  # full
    _allow("c", 1, 8),  # random
    _allow("c", 1, 9),  # urandom
    _allow("c", 5, 0),  # tty
    _allow("c", 5, 2),  # ptmx
    _allow("c", 136, None),  # pts/*
)

# For a privileged container.
ALLOW_ALL: tuple[Json, ...] = ({"allow": True, "access": ALL_ACCESS},)


class Rule(Value):
    """One rule, for one type of device; `major` or `minor` is None for any number."""

    __slots__ = ("access", "allow", "kind", "major", "minor")

    def __init__(
        self, *, allow: bool, kind: str, major: int | None, minor: int | None, access: str
    ) -> None:
        self.allow = allow
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access

    def line(self) -> str:
        """Spell the rule for devices.allow or devices.deny of v1."""
        major, minor = ("*" if each is None else each for each in (self.major, self.minor))
        return f"{self.kind} {major}:{minor} {self.access}"

    def covers_all(self) -> bool:
        """Tell whether it decides about every device of its type, whatever the access."""
        return self.major is None and self.minor is None and set(self.access) == set(ALL_ACCESS)


def parse_rules(rules: Sequence[Json]) -> list[Rule]:
    """Read OCI `linux.resources.devices`; a rule for all types becomes one for each.

    Raises: InvalidInput: a type, a number or an access that no device has.
    """
    return [one for rule in rules for one in _parse(rule)]


def _parse(rule: Json) -> list[Rule]:
    kind, access = rule.get("type") or "a", rule.get("access") or ALL_ACCESS
    if kind not in ("a", "b", "c", "u"):
        raise InvalidInput(f"invalid device type '{kind}'", hint="a, b, c or u")
    if not set(access) <= set(ALL_ACCESS):
        raise InvalidInput(f"invalid device access '{access}'", hint="some of r, w and m")
    return [
        Rule(
            allow=rule["allow"],
            kind=one,
            major=_number(rule.get("major"), "major", 12),
            minor=_number(rule.get("minor"), "minor", 20),
            access="".join(each for each in ALL_ACCESS if each in access),
        )
        for one in {"a": "cb", "u": "c"}.get(kind, kind)
    ]


def device_hierarchy(hierarchies: Sequence[Hierarchy]) -> Hierarchy:
    """Return where device rules go: v1's devices controller, else v2, which always has programs.

    Raises: Unsupported: neither is mounted.
    """
    v1 = (each for each in hierarchies if each.version == 1 and "devices" in each.controllers)
    v2 = (each for each in hierarchies if each.version == 2)
    for hierarchy in (*v1, *v2):
        return hierarchy
    raise Unsupported(
        "devices can't be kept from a container: neither cgroup v2 nor v1's devices controller is "
        "mounted"
    )


def plan_v1(rules: Sequence[Json], hierarchy: Hierarchy) -> list[Setting]:
    """Plan the lines for devices.deny and devices.allow, in order; none for no rules.

    The kernel keeps "all denied" or "all allowed", and exceptions from it; so the plan begins
    with the one or the other. It wants one exception to cover all that an open asks for: reading
    and writing, allowed by two rules of different width, may not be asked for at once.

    Raises: Unsupported: a rule takes back part of what a wider one gave. The kernel would ignore
        that without a word.
    """
    if not rules:
        return []
    allowed, exceptions = base_and_exceptions(parse_rules(rules))
    settings = [_line(hierarchy, allowed, "a", "every device, to begin with")]
    held: list[Rule] = []
    for rule in exceptions:
        _refuse_hole(rule, allowed, held)
        if rule.allow != allowed:
            held.append(rule)
        reason = "m: make the file, r: read, w: write"
        settings.append(_line(hierarchy, rule.allow, rule.line(), reason))
    return settings


def _line(hierarchy: Hierarchy, allow: bool, line: str, reason: str) -> Setting:
    file = "devices.allow" if allow else "devices.deny"
    return Setting(hierarchy=hierarchy, file=file, value=line, reason=reason)


def base_and_exceptions(rules: list[Rule]) -> tuple[bool, list[Rule]]:
    """Return what holds for every device at first, and the rules that matter after that."""
    for index in range(len(rules) - 1, 0, -1):
        pair = rules[index - 1 : index + 1]
        if (
            all(rule.covers_all() for rule in pair)
            and {rule.kind for rule in pair} == {"b", "c"}
            and pair[0].allow == pair[1].allow
        ):
            return pair[0].allow, rules[index + 1 :]
    return False, rules


def _refuse_hole(rule: Rule, allowed: bool, held: list[Rule]) -> None:
    """Refuse a rule that takes back part of an exception that is wider than it."""
    if rule.allow != allowed:
        return
    for wider in held:
        same = (wider.major, wider.minor) == (rule.major, rule.minor)
        if wider.kind == rule.kind and not same and _overlap(wider, rule):
            raise Unsupported(
                f"cgroup v1 cannot take '{rule.line()}' back from '{wider.line()}'",
                hint="name the devices one by one instead",
            )


def _overlap(one: Rule, other: Rule) -> bool:
    """Tell whether some access to some device falls under both."""
    numbers = ((one.major, other.major), (one.minor, other.minor))
    met = all(None in pair or pair[0] == pair[1] for pair in numbers)
    return met and not set(one.access).isdisjoint(other.access)


def _number(value: int | None, what: str, bits: int) -> int | None:
    """Read a device number; absent or -1 is any."""
    if value is None or value == -1:
        return None
    if not 0 <= value < 1 << bits:
        raise InvalidInput(f"invalid device {what} number {value}")
    return value
