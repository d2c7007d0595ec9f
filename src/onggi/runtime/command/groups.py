"""The control groups of a container that exists, with the hierarchies that they lie in."""

from __future__ import annotations

from onggi.errors import Unsupported
from onggi.linux import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.linux.cgroup import Hierarchy
    from onggi.runtime.command.record import Record


def directories(known: Record) -> list[tuple[Hierarchy, str]]:
    """Return (hierarchy, directory) for each cgroup of the container. Raises: Unsupported."""
    require(known)
    found = cgroup.hierarchies()
    return [
        (hierarchy, path)
        for path in known.cgroups
        for hierarchy in found
        if path.startswith(f"{hierarchy.mountpoint}/")
    ]


def require(known: Record) -> None:
    """Refuse what takes cgroups of a container that an ordinary user made without any.

    Raises: Unsupported.
    """
    if not known.cgroups:
        raise Unsupported(
            "the container has no control groups",
            hint="a user makes some where a part of cgroup v2 was delegated to him",
        )
