"""Changing the numbers of cgroups that are in use.

The kernel judges each write by itself: in v1, memory may at no moment be above memory and swap
together. So what grows is written in another order than what shrinks.

Source: Documentation/admin-guide/cgroup-v1/memory.rst, "memsw.limit_in_bytes".
"""

from __future__ import annotations

from onggi.linux import cgroup
from onggi.resources import apply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from onggi.linux.cgroup import Hierarchy
    from onggi.resources.setting import Setting

_MEMORY = "memory.limit_in_bytes"
_SWAP = "memory.memsw.limit_in_bytes"


def write(planned: list[Setting], directories: Sequence[tuple[Hierarchy, str]]) -> None:
    """Write settings into the cgroups of a container, in an order that the kernel takes.

    Args: directories: each hierarchy with the container's directory in it.
    Raises: as `apply.write`; what was written before stays.
    """
    places = {hierarchy.key: path for hierarchy, path in directories}
    for setting in _ordered(planned, places):
        apply.write(setting, places[setting.hierarchy.key])


def _ordered(planned: list[Setting], places: dict[str, str]) -> list[Setting]:
    """Raise memory and swap together before memory alone, which may never be above it."""
    files = {setting.file: setting for setting in planned}
    if _MEMORY not in files or _SWAP not in files:
        return planned
    swap = files[_SWAP]
    now = int(cgroup.read(f"{places[swap.hierarchy.key]}/{_SWAP}"))
    if int(swap.value) != -1 and int(swap.value) <= now:
        return planned
    return [swap, *(setting for setting in planned if setting is not swap)]
