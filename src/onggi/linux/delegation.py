"""Which part of the version 2 cgroup hierarchy a process without privileges may manage.

Facts before policy:

- Whoever manages a part of the tree for its root gives a user the directory, its `cgroup.procs` and
  its `cgroup.subtree_control`, and nothing above. Below that, the user makes directories.
- A process can be moved by who may write to `cgroup.procs` of the cgroup that it goes to and of
  the nearest one above both: so a part is of use only to processes that are in it already.
- A cgroup that has processes of its own cannot pass controllers on.
- Version 1 is not delegated: what its files limit could be got round.

Source: cgroup-v2.rst, "Delegation"; cgroups(7), "Cgroups delegation".
"""

from __future__ import annotations

import os

from onggi.linux import cgroup
from onggi.linux.cgroup import Hierarchy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FILES = ("cgroup.procs", "cgroup.subtree_control")


def delegated(
    hierarchies: Iterable[Hierarchy], memberships: Mapping[str, str]
) -> tuple[Hierarchy, ...]:
    """Return the part of the version 2 hierarchy that is ours, as a hierarchy; none if none is.

    It begins at the highest directory above our own cgroup down from which all are ours, and has
    the controllers that it can pass on.

    Args: memberships: our own, as from `cgroup.memberships`.
    """
    for hierarchy in hierarchies:
        if hierarchy.version == 2:
            top = _highest(hierarchy, memberships.get(hierarchy.key, ""))
            return (_part(hierarchy, top),) if top else ()
    return ()


def _highest(hierarchy: Hierarchy, group: str) -> str:
    highest = ""
    parts = [part for part in group.split("/") if part]
    if ".." in parts:
        return ""  # outside of our cgroup namespace: there is no path to it
    for length in range(len(parts), -1, -1):
        try:
            directory = hierarchy.directory("/" + "/".join(parts[:length]))
        except FileNotFoundError:
            break  # above what is mounted
        if not _is_ours(directory):
            break
        highest = directory
    return highest


def _is_ours(directory: str) -> bool:
    files = (f"{directory}/{name}" for name in _FILES)
    return os.access(directory, os.W_OK | os.X_OK) and all(os.access(f, os.W_OK) for f in files)


def _part(hierarchy: Hierarchy, top: str) -> Hierarchy:
    below = top[len(hierarchy.mountpoint) :]
    passing = not below or not cgroup.processes(top)
    controllers = cgroup.read(f"{top}/cgroup.controllers").split() if passing else ()
    return Hierarchy(
        version=2,
        controllers=tuple(controllers),
        name="",
        mountpoint=top,
        root=hierarchy.root.rstrip("/") + below or "/",
    )
