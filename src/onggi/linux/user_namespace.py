"""Which user namespace we are in, and whom that knows.

Source: user_namespaces(7).
"""

from __future__ import annotations

import os

_FIRST_INODE = 0xEFFFFFFD  # PROC_USER_INIT_INO of <linux/proc_ns.h>


def is_first() -> bool:
    """Tell whether we are in the namespace that the kernel began with, where root is the host's."""
    try:
        return os.stat("/proc/self/ns/user").st_ino == _FIRST_INODE
    except FileNotFoundError:
        return True  # a kernel without them


def mappings(kind: str) -> tuple[tuple[int, int, int], ...]:
    """Read the mappings of the namespace that we are in; none if it has none yet.

    Args: kind: "uid" or "gid".
    Returns: (first inside, first outside, count) each.
    """
    with open(f"/proc/self/{kind}_map", "rb", buffering=0) as file:
        lines = [tuple(map(int, line.split())) for line in file.read().splitlines()]
    return tuple((inside, outside, count) for inside, outside, count in lines)


def may_set_groups() -> bool:
    """Tell whether setgroups(2) can be called in our namespace by who has the right to.

    Source: user_namespaces(7), "The /proc/pid/setgroups file".
    """
    try:
        with open("/proc/self/setgroups", "rb", buffering=0) as file:
            return file.read().strip() == b"allow"
    except FileNotFoundError:
        return True  # Linux before 3.19
