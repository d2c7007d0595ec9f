"""The properties of a systemd unit that say what settings of control files say.

systemd writes the control files of its units itself, whenever it sees fit: so it has to know what
is set. It has coarser numbers for some and none for others; those are written to the files alone.

A property is a tuple of words as busctl(1) takes them: name, signature, and values; of an array,
its length first.

Source: systemd.resource-control(5); org.freedesktop.systemd1(5); opencontainers/cgroups systemd/,
for which property stands for which file.
"""

from __future__ import annotations

from onggi.resources.cpuset import parse_cpuset
from onggi.resources.devices import base_and_exceptions, parse_rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, TypeAlias

    from onggi.resources.devices import Rule
    from onggi.resources.setting import Setting

    Property: TypeAlias = tuple[str, ...]

INFINITY = str(2**64 - 1)
_PERIOD_USEC = 100_000
_SECOND_USEC = 1_000_000
_ROUNDING_USEC = 10_000  # a hundredth of a processor, which systemd cuts fractions of off

# Files whose number, or "max", is the property's.
_NUMBERS = {
    "blkio.bfq.weight": "BlockIOWeight",
    "blkio.weight": "BlockIOWeight",
    "cpu.shares": "CPUShares",
    "cpu.weight": "CPUWeight",
    "memory.high": "MemoryHigh",
    "memory.limit_in_bytes": "MemoryLimit",
    "memory.low": "MemoryLow",
    "memory.max": "MemoryMax",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
}
_SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}


def unit_properties(settings: Iterable[Setting]) -> list[Property]:
    """Return the properties that say what `settings` say, as far as there are some."""
    said = {setting.file: setting.value.strip() for setting in settings}
    found: list[Property] = [
        (name, "t", _number(said[file]))
        for file, name in _NUMBERS.items()
        if file in said and _number(said[file])
    ]
    found += [(name, "ay", *_bits(said[file])) for file, name in _SETS.items() if said.get(file)]
    return [*found, *_quota(said)]


def _number(text: str) -> str:
    if text in ("max", "-1"):
        return INFINITY
    return text if text.isascii() and text.isdigit() else ""


def _bits(text: str) -> list[str]:
    """Return an array of bytes with a bit for each number, the lowest first."""
    numbers = parse_cpuset(text)
    whole = sum(1 << number for number in numbers)
    bytes_ = whole.to_bytes(max(numbers, default=0) // 8 + 1, "little")
    return [str(len(bytes_)), *map(str, bytes_)]


def _quota(said: dict[str, str]) -> list[Property]:
    quota, period = said.get("cpu.cfs_quota_us", ""), said.get("cpu.cfs_period_us", "")
    if "cpu.max" in said:
        quota, _, period = said["cpu.max"].partition(" ")
    if not quota and not period:
        return []
    usec = int(period) if period.isdigit() else _PERIOD_USEC
    each_second = INFINITY
    if quota.isdigit():
        exact = int(quota) * _SECOND_USEC // usec
        each_second = str(-(-exact // _ROUNDING_USEC) * _ROUNDING_USEC)
    return [("CPUQuotaPeriodUSec", "t", str(usec)), ("CPUQuotaPerSecUSec", "t", each_second)]


def device_properties(rules: Sequence[dict[str, Any]]) -> list[Property]:
    """Return the properties for OCI device rules; none for no rules.

    Where they begin with all allowed, nothing is left to systemd: it knows no exceptions from that.
    """
    if not rules:
        return []
    allowed, exceptions = base_and_exceptions(parse_rules(rules))
    if allowed:
        return [("DevicePolicy", "s", "auto"), ("DeviceAllow", "a(ss)", "0")]
    listed = [(_name(rule), rule.access) for rule in exceptions if rule.allow and _name(rule)]
    words = [word for entry in listed for word in entry]
    return [
        ("DevicePolicy", "s", "strict"),
        ("DeviceAllow", "a(ss)", str(len(listed)), *words),
    ]


def _name(rule: Rule) -> str:
    """Return what systemd calls the devices of a rule; "" for one that it can't name."""
    kind = "char" if rule.kind == "c" else "block"
    if rule.major is None:
        return f"{kind}-*" if rule.minor is None else ""
    if rule.minor is None:
        return f"{kind}-{rule.major}"
    return f"/dev/{kind}/{rule.major}:{rule.minor}"
