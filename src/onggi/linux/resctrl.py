"""The file system through which caches and memory bandwidth are shared out: resctrl.

Facts before policy:

- A directory just below the root is a class of service; its `schemata` has a line for each
  resource, such as `L3:0=7ff;1=7ff` or `MB:0=100;1=100`, and its `tasks` names its threads.
- Below a class, `mon_groups` may hold groups that are only measured apart. A thread must be in the
  class before it can be in one of those.
- A thread that is born has the class and the group of its parent. Writing 0 names the writer.
- `info` has a directory for each resource that this machine can share out, or measure.
- rmdir(2) of a group hands its threads to the group above.

Source: Documentation/arch/x86/resctrl.rst.
"""

from __future__ import annotations

import os

from onggi.linux import cgroup, mountinfo

_RESERVED = frozenset(("info", "mon_groups", "mon_data", "", ".", ".."))


def find() -> str:
    """Return where it is mounted; "" where it is not."""
    found = (one.mountpoint for one in mountinfo.read() if one.fstype == "resctrl")
    return next(found, "")


def resources(root: str) -> frozenset[str]:
    """Name what can be shared out or measured: "L3", "L2", "MB", "L3_MON" and the like."""
    return frozenset(os.listdir(f"{root}/info"))


def is_class_name(name: str) -> bool:
    """Tell whether a class of service may have this name."""
    return name not in _RESERVED and "/" not in name and "\n" not in name


def schemata(group: str) -> str | None:
    """Return how much a class has; None if there is no such class."""
    try:
        return cgroup.read(f"{group}/schemata")
    except FileNotFoundError:
        return None


def parse_schemata(text: str) -> dict[str, dict[str, int]]:
    """Return {resource: {domain: value}} of lines as in a schemata file.

    Raises: ValueError: a line that is none.
    """
    found: dict[str, dict[str, int]] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        resource, colon, domains = line.partition(":")
        if not colon:
            raise ValueError(f"{line!r} is no line of schemata")
        pairs = (domain.strip().split("=") for domain in domains.split(";"))
        base = 10 if resource in ("MB", "SMBA") else 16
        found[resource] = {name.strip(): int(value, base) for name, value in pairs}
    return found
