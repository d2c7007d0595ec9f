"""Where a container's cgroups lie: known from its ID and its record, wherever it is in its life."""

from __future__ import annotations

from onggi.linux import cgroup
from onggi.resources import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.linux.cgroup import Hierarchy


def directories(identifier: str, record: dict[str, Any]) -> list[tuple[Hierarchy, str]]:
    """Return the directory in each hierarchy, whether it exists or not.

    The last part of each is the ID, whatever the record says: it may choose the parent alone. A
    record that is empty stands for a container that never came to have one.
    """
    asked = record.get("config", {}).get("linux", {}).get("cgroupsPath", "")
    parent, _ = layout.split_path(asked, identifier)
    # What we start has an absolute parent (spec.py): nothing depends on where we are ourselves.
    return layout.cgroup_paths(f"/{parent}", identifier, cgroup.hierarchies(), {})


def clear(identifier: str, record: dict[str, Any]) -> None:
    """Kill what is left in a container's cgroups and remove them; gone already is fine."""
    for _, path in reversed(directories(identifier, record)):
        cgroup.clear(path)
