"""The processes of a PID namespace, for who has no cgroup to ask.

Source: pid_namespaces(7); proc_pid_stat(5).
"""

from __future__ import annotations

import os

from onggi.linux import identity


def processes(pid: int) -> list[int]:
    """List the processes in the PID namespace of `pid`, and what descends from them.

    A namespace inside that one has processes of others' making only, which all descend from it.
    The list is no snapshot. What is hidden from the caller is not in it.

    Raises: OSError: there is no process `pid`, or its namespace is hidden from the caller.
    """
    own = os.stat(f"/proc/{pid}/ns/pid").st_ino
    parents = _parents()
    found = {one for one in parents if _namespace(one) == own}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def _parents() -> dict[int, int]:
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(identity.stat_fields(name)[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
    return parents


def _namespace(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
