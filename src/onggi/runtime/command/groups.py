"""The control groups of a container that exists, with the hierarchies that they lie in."""

from __future__ import annotations

from onggi.linux import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.linux.cgroup import Hierarchy
    from onggi.runtime.command.record import Record


def directories(known: Record) -> list[tuple[Hierarchy, str]]:
    """Return (hierarchy, directory) for each cgroup of the container."""
    found = cgroup.hierarchies()
    return [
        (hierarchy, path)
        for path in known.cgroups
        for hierarchy in found
        if path.startswith(f"{hierarchy.mountpoint}/")
    ]
