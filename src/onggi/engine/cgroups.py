"""Where a container's cgroups lie: known from its ID and its record, wherever it is in its life."""

from __future__ import annotations

from onggi.linux import cgroup, user_namespace
from onggi.resources import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.linux.cgroup import Hierarchy


def offered() -> list[Hierarchy]:
    """Return the hierarchies in which we make cgroups, as far as they are ours.

    An ordinary user has the part of version 2 that was delegated to what he runs, or none.
    """
    found = cgroup.hierarchies()
    if user_namespace.is_first():
        return found
    from onggi.linux import delegation

    return list(delegation.delegated(found, cgroup.memberships()))


def directories(
    identifier: str, record: dict[str, Any], pid: int = 0
) -> list[tuple[Hierarchy, str]]:
    """Return the directory in each hierarchy, whether it exists or not.

    Args: pid: the container's first process, if it lives: an ordinary user may have started it
        where another part was delegated than here.

    The last part of each is the ID, whatever the record says: it may choose the parent alone. A
    record that is empty stands for a container that never came to have one.
    """
    asked = record.get("config", {}).get("linux", {}).get("cgroupsPath", "")
    parent, _ = layout.split_path(asked, identifier)
    # What we start has an absolute parent (spec.py): nothing depends on where we are ourselves.
    found = offered()
    if pid and not user_namespace.is_first():
        from onggi.engine.rootless import delegated

        found = delegated.around(pid, layout.relative(f"/{parent}", identifier))
    return layout.cgroup_paths(f"/{parent}", identifier, found, {})


def entered(identifier: str, record: dict[str, Any], pid: int) -> tuple[str, ...]:
    """Return the directories that a further process of a running container enters.

    Raises: Conflict: it may not be moved there from here.
    """
    paths = tuple(path for _, path in directories(identifier, record, pid))
    if paths and not user_namespace.is_first():
        from onggi.engine.rootless import delegated

        delegated.require_reach(paths[0])
    return paths


def clear(identifier: str, record: dict[str, Any]) -> None:
    """Kill what is left in a container's cgroups and remove them; gone already is fine."""
    for _, path in reversed(directories(identifier, record)):
        cgroup.clear(path)
