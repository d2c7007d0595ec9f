"""Plan the container's control groups: where they lie, what is written, who joins. Pure."""

from __future__ import annotations

from onggi.errors import Unsupported
from onggi.resources import device_program, devices, layout, settings
from onggi.runtime.steps import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.resources.layout import Paths, Preparation
    from onggi.resources.setting import Setting
    from onggi.runtime.host import Host
    from onggi.runtime.steps.base import Step


class Controlled:
    """The host's steps, the first process's own, and the cgroups' directories."""

    __slots__ = ("host", "join", "paths", "warnings")

    def __init__(self, host: list[Step], join: list[Step], paths: tuple[str, ...]) -> None:
        self.host = host
        self.join = join
        self.paths = paths
        self.warnings: tuple[str, ...] = ()


def plan_cgroups(linux: dict[str, Any], host: Host, identifier: str) -> Controlled:
    """Plan the cgroups of container `identifier`; `linux` is that part of its configuration.

    Who is not the host's root has the cgroups that were delegated to him, perhaps none, and the
    container's path begins at the top of that part. He can set no device rules, and needs none:
    in his user namespace nobody makes device nodes.

    Raises: InvalidInput, Unsupported: as resources.settings and resources.devices.
    """
    resources = linux.get("resources", {})
    parent, name = layout.split_path(_within(linux.get("cgroupsPath", ""), host), identifier)
    paths = layout.cgroup_paths(parent, name, host.managed, host.memberships)
    directories = {id(hierarchy): path for hierarchy, path in paths}
    numbers = _numbers(resources, host)
    rules = [] if _has_no_rules(host) else resources.get("devices", [])
    guard = devices.device_hierarchy(host.hierarchies) if rules else None
    if guard is not None and guard.version == 1:
        numbers += devices.plan_v1(rules, guard)
    steps = [_prepare(one, paths) for one in layout.plan_directories(paths, numbers)]
    steps += [cgroups.WriteSetting(directories[id(one.hierarchy)], one) for one in numbers]
    if guard is not None and guard.version == 2:
        program = device_program.device_program(rules)
        steps.append(cgroups.AttachDeviceProgram(directories[id(guard)], program))
    join: list[Step] = [cgroups.JoinCgroup(path) for _, path in paths]
    controlled = Controlled(steps, join, tuple(path for _, path in paths))
    if not rules and resources.get("devices") and not host.rights.is_rootless:
        controlled.warnings = ("device rules do not hold without control groups",)
    return controlled


def _has_no_rules(host: Host) -> bool:
    """Tell whether nobody enforces device rules: for a user, or by the caller's own wish."""
    return host.rights.is_rootless or bool(host.hierarchies and not host.managed)


def _numbers(resources: dict[str, Any], host: Host) -> list[Setting]:
    """Return the numbers to write, or refuse them with what this user lacks."""
    try:
        return settings.settings(resources, host.managed, host.control_files)
    except Unsupported as error:
        if host.rights.is_rootless:
            error.hint = "limits take a part of cgroup v2 that was delegated to this user"
        raise


def _within(path: str, host: Host) -> str:
    """Return a cgroupsPath as seen from the top of what was delegated to us."""
    for hierarchy in host.managed if host.rights.is_rootless else ():
        top = hierarchy.root.rstrip("/")
        if path.startswith(f"{top}/"):
            return path[len(top) :]
    return path


def _prepare(preparation: Preparation, paths: Paths) -> Step:
    if isinstance(preparation, layout.Make):
        own = any(path == preparation.path for _, path in paths)
        return cgroups.MakeCgroup(preparation, shared=not own)
    if isinstance(preparation, layout.Enable):
        return cgroups.EnableControllers(preparation)
    return cgroups.InheritCpuset(preparation)
