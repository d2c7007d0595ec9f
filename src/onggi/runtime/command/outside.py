"""What of a container lies outside of it, and is named in a checkpoint instead of kept. Pure.

criu keeps processes, namespaces and the file systems that live in memory. What the host lends a
container it must be told of, with a name, and at the restoration what to take for that name:

    a bind mount         where the container has it, by the name of the place that was asked for
    its cgroup files     the same, for they are its own by another path
    a joined namespace   by its inode; criu gets a descriptor of the one to join
    a standard stream    by what /proc/PID/fd says it is; criu gets another in its place

Source: criu(8), "--external", "--inherit-fd"; runc libcontainer/container_linux.go, Checkpoint.
"""

from __future__ import annotations

import os

from onggi.errors import Unsupported
from onggi.runtime.steps.mounts import BindMount, MountFilesystem
from onggi.runtime.steps.owners import MappedBind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from onggi.linux.cgroup import Hierarchy
    from onggi.runtime.steps.base import Step

NAMESPACES = {"network": ("net", "extRootNetNS"), "pid": ("pid", "extRootPidNS")}
_CGROUP_FILES = ("cgroup", "cgroup2")


def mounts(
    steps: Iterable[Step], hierarchies: Iterable[Hierarchy], own: tuple[str, ...]
) -> dict[str, str]:
    """Return target in the container -> path on the host, for what the host lends it.

    Args: steps: those that make its file tree. own: its cgroup's directories.
    Raises: Unsupported: a mount with other owners, which criu would restore with the host's.
    """
    lent: dict[str, str] = {}
    known = list(hierarchies)
    for step in steps:
        if isinstance(step, MappedBind):
            raise Unsupported(
                f"the mount at {step.target!r} shows other owners than its files have"
            )
        if isinstance(step, BindMount):
            lent[step.target] = step.source
        elif isinstance(step, MountFilesystem) and step.fstype in _CGROUP_FILES:
            lent[step.target] = _cgroup_at(step, known, own)
    return lent


def _cgroup_at(step: MountFilesystem, known: list[Hierarchy], own: tuple[str, ...]) -> str:
    """Return the directory of the container's own cgroup that a mount shows."""
    version = 2 if step.fstype == "cgroup2" else 1
    name = os.path.basename(step.target)
    for hierarchy in known:
        same = version == 2 or os.path.basename(hierarchy.mountpoint) == name
        if hierarchy.version == version and same:
            return next(path for path in own if path.startswith(f"{hierarchy.mountpoint}/"))
    raise Unsupported(f"the cgroups at {step.target!r} are of no hierarchy of this host")


def joined(config: dict[str, Any]) -> dict[str, str]:
    """Return kind -> path of the namespaces that a container joined.

    Raises: Unsupported: of a kind that criu can't be told of.
    """
    entries = config["linux"].get("namespaces", [])
    found = {entry["type"]: entry["path"] for entry in entries if entry.get("path")}
    for kind in found:
        if kind not in NAMESPACES:
            raise Unsupported(f"a container that joined a {kind} namespace cannot be restored")
    return found


def groups(hierarchies: Iterable[Hierarchy], own: Iterable[str]) -> list[tuple[str, str]]:
    """Return (controller, cgroup) for each of the container's cgroups, as /proc/PID/cgroup has it.

    The controller of version 2 is "".
    """
    listed = list(own)
    found = []
    for hierarchy in hierarchies:
        for path in listed:
            if not path.startswith(f"{hierarchy.mountpoint}/"):
                continue
            group = hierarchy.root.rstrip("/") + path[len(hierarchy.mountpoint) :]
            names = hierarchy.controllers if hierarchy.version == 1 else ("",)
            found += [(name, group) for name in names or (f"name={hierarchy.name}",)]
    return found
