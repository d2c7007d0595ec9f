"""Plan how the device rules of a container that exists are changed. Pure."""

from __future__ import annotations

from onggi.resources import device_change, device_program, devices
from onggi.runtime.steps import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from onggi.linux.cgroup import Hierarchy
    from onggi.runtime.steps.base import Step


def plan_device_change(
    before: Sequence[dict[str, Any]],
    after: Sequence[dict[str, Any]],
    directories: Sequence[tuple[Hierarchy, str]],
    read: Callable[[str], str],
) -> list[Step]:
    """Return the steps from one list of OCI device rules to another, in a container's cgroups.

    Args: read: returns what a control file says.
    Raises: InvalidInput, Unsupported: as `resources.device_change`.
    """
    guard = devices.device_hierarchy([hierarchy for hierarchy, _ in directories])
    (path,) = (path for hierarchy, path in directories if hierarchy is guard)
    if guard.version == 1:
        listed = read(f"{path}/devices.list")
        lines = device_change.plan_v1_change(before, after, listed, guard)
        return [cgroups.WriteSetting(path, line) for line in lines]
    from onggi.runtime.steps.device_program import ReplaceDeviceProgram

    return [ReplaceDeviceProgram(path, device_program.device_program(after))]
