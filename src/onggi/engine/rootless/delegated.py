"""The part of cgroup v2 that an ordinary user was given: making room in it, finding it again.

Whoever hands a part of the tree to a user puts the user's first process at its top, where no
process may be if controllers are to be passed on to containers. So what is at the top is moved into
a cgroup beside the containers' first.

Source: cgroup-v2.rst, "Delegation", "No Internal Process Constraint"; systemd
docs/CGROUP_DELEGATION.md, "Three Scenarios" (a manager moves itself into a subgroup).
"""

from __future__ import annotations

import os

from onggi.linux import cgroup, delegation
from onggi.linux.cgroup import Hierarchy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION = "onggi-session"  # the cgroup of those who start containers
_ROUNDS = 10  # a process that is forking meanwhile is met in the next one


def make_room() -> None:
    """Move the processes at the top of what was delegated to us into a cgroup below it."""
    for part in delegation.delegated(cgroup.hierarchies(), cgroup.memberships()):
        top = part.mountpoint
        if cgroup.read(f"{top}/cgroup.controllers") and cgroup.processes(top):
            _move(top, f"{top}/{SESSION}")


def _move(top: str, below: str) -> None:
    cgroup.make(below)
    for _ in range(_ROUNDS):
        pids = [pid for pid in cgroup.processes(top) if pid]  # 0 is nobody whom we can name
        if not pids:
            return
        for pid in pids:
            try:
                cgroup.write(f"{below}/cgroup.procs", pid)
            except ProcessLookupError:
                continue  # it ended just now


def around(pid: int, relative: str) -> list[Hierarchy]:
    """Return the part in which the container whose first process is `pid` was started.

    None is found once that has ended: then what it had is, or will be, cleared away.

    Args: relative: the container's cgroup, from the top of that part.
    """
    try:
        group = cgroup.memberships(pid).get("", "")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return list(_parts(f"{group}/", f"/{relative}/"))


def _parts(group: str, relative: str) -> Iterator[Hierarchy]:
    for hierarchy in cgroup.hierarchies():
        above, found, _ = group.partition(relative)
        if hierarchy.version == 2 and found:
            top = hierarchy.directory(above or "/")
            yield Hierarchy(
                version=2,
                controllers=tuple(cgroup.read(f"{top}/cgroup.controllers").split()),
                name="",
                mountpoint=top,
                root=above or "/",
            )


def require_reach(directory: str) -> None:
    """Refuse to enter a container's cgroup from where the kernel would not let us.

    A process may be moved by who may write where it goes and to the nearest cgroup above both.

    Raises: Conflict
    """
    from onggi.errors import Conflict

    own = cgroup.memberships().get("", "")
    for hierarchy in cgroup.hierarchies():
        if hierarchy.version == 2:
            common = os.path.commonpath((directory, hierarchy.directory(own) or "/"))
            if not os.access(f"{common}/cgroup.procs", os.W_OK):
                raise Conflict(
                    "the container has limits in a part of the cgroup tree that this session is "
                    "not in",
                    hint="run the command in the session that started the container",
                )
