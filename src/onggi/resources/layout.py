"""Where a container's cgroups lie in each hierarchy, and what must be made above them first.

Facts before policy:

- In v1 a process can join a cpuset cgroup only once its cpuset.cpus and cpuset.mems are set, and
  a new one begins with both empty (ENOSPC). So each level copies what its parent has.
- In v2 a cgroup has a controller's files only if its parent lists the controller in
  cgroup.subtree_control, and the parent may do so only if its own parent does: a chain from the
  root of the hierarchy.
- In v2 a cgroup that has processes of its own cannot pass resource controllers on (EBUSY), the
  root excepted. So containers lie in leaves below a directory that holds no process.
- In v2 a cgroup below a threaded one is "domain invalid", and no process can join it.

Source: cpuset(7), "Mems, CPUs"; cgroups(7), "Subtree control", "No internal processes" and
"Thread mode".
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.resources.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from onggi.linux.cgroup import Hierarchy
    from onggi.resources.setting import Setting

    Paths: TypeAlias = Sequence[tuple[Hierarchy, str]]
    Preparation: TypeAlias = "Make | Enable | Inherit"

PARENT = "/onggi"  # of the containers' cgroups, unless another is asked for

# Enabled in v2 whether or not they limit anything: without them nothing could be measured.
MEASURED = ("cpu", "io", "memory", "pids")


class Make(Value):
    """Make the directory `path`, which makes a cgroup; that it exists is fine."""

    __slots__ = ("path", "reason")

    def __init__(self, *, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason


class Enable(Value):
    """Pass controllers on to the children of cgroup `path`.

    Of `controllers`, those in `required` must succeed; the others serve measuring and may be
    refused, as `cpu` is on a host with real-time processes.
    """

    __slots__ = ("controllers", "path", "reason", "required")

    def __init__(
        self, *, path: str, controllers: tuple[str, ...], required: tuple[str, ...], reason: str
    ) -> None:
        self.path = path
        self.controllers = controllers
        self.required = required
        self.reason = reason


class Inherit(Value):
    """Copy `file` from the parent of cgroup `path`, if it is still empty there."""

    __slots__ = ("file", "path", "reason")

    def __init__(self, *, path: str, file: str, reason: str) -> None:
        self.path = path
        self.file = file
        self.reason = reason


def cgroup_paths(
    parent: str,
    name: str,
    hierarchies: Sequence[Hierarchy],
    memberships: Mapping[str, str],
) -> list[tuple[Hierarchy, str]]:
    """Tell where cgroup `name` below `parent` lies in each hierarchy.

    Args:
        parent: from the top of each hierarchy as it is mounted (`/onggi`), or, without a leading
            slash, from the cgroup that the caller is in.
        name: the container's ID, or "" for the parent itself.
        hierarchies: the mounted ones.
        memberships: those of the caller, as from `linux.cgroup.memberships`; read only for a
            relative parent.

    Raises: InvalidInput: the parent climbs out with `..`.
    """
    below = relative(parent, name)
    paths = []
    for hierarchy in hierarchies:
        top = hierarchy.mountpoint
        if not parent.startswith("/"):
            top = hierarchy.directory(memberships[hierarchy.key])
        paths.append((hierarchy, f"{top.rstrip('/')}/{below}"))
    return paths


def split_path(cgroups_path: str, identifier: str) -> tuple[str, str]:
    """Return (parent, name) for a specification's cgroupsPath, or for one that names none."""
    if not cgroups_path:
        return PARENT, identifier
    parent, _, name = cgroups_path.rstrip("/").rpartition("/")
    return parent or "/", name


def plan_directories(paths: Paths, settings: Iterable[Setting]) -> list[Preparation]:
    """Plan everything that must exist before `settings` can be written at `paths`.

    Doing it again changes nothing, so containers that share a parent each do all of it.
    """
    written = list(settings)
    plan: list[Preparation] = []
    for hierarchy, path in paths:
        if hierarchy.version == 2:
            plan += _plan_v2(hierarchy, path, written)
        else:
            plan += _plan_v1(hierarchy, path)
    return plan


def relative(parent: str, name: str) -> str:
    """Return the path of a cgroup from the top, without a slash at either end.

    Raises: InvalidInput: the parent climbs out with `..`, or no cgroup may be called so.
    Source: for new lines, the kernel's kernel/cgroup/cgroup.c, cgroup_mkdir.
    """
    parts = [part for part in f"{parent}/{name}".split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidInput(f"invalid cgroup parent '{parent}'", hint="it may not contain '..'")
    if any(sign in part for part in parts for sign in "\n\0"):
        raise InvalidInput(
            f"invalid cgroup path {parent + '/' + name!r}", hint="it may not contain new lines"
        )
    return "/".join(parts)


def _levels(hierarchy: Hierarchy, path: str) -> list[str]:
    """List the directories from just below the mount point down to `path`."""
    levels, current = [], hierarchy.mountpoint
    for part in path[len(hierarchy.mountpoint) :].strip("/").split("/"):
        current = f"{current.rstrip('/')}/{part}"
        levels.append(current)
    return levels


def _make(hierarchy: Hierarchy, level: str, path: str) -> Make:
    label = "v2" if hierarchy.version == 2 else ",".join(hierarchy.controllers)
    whose = "the container's" if level == path else "the parent of the containers'"
    return Make(path=level, reason=f"{whose} cgroup of {label or hierarchy.key}")


def _plan_v1(hierarchy: Hierarchy, path: str) -> list[Preparation]:
    plan: list[Preparation] = []
    for level in _levels(hierarchy, path):
        plan.append(_make(hierarchy, level, path))
        if "cpuset" in hierarchy.controllers:
            plan += [
                Inherit(path=level, file=file, reason="nothing can join a cpuset that is empty")
                for file in ("cpuset.cpus", "cpuset.mems")
            ]
    return plan


def _plan_v2(hierarchy: Hierarchy, path: str, settings: list[Setting]) -> list[Preparation]:
    prefixes = {each.file.split(".")[0] for each in settings if each.hierarchy is hierarchy}
    required = tuple(name for name in hierarchy.controllers if name in prefixes)
    wanted = tuple(name for name in hierarchy.controllers if name in prefixes or name in MEASURED)
    plan: list[Preparation] = []
    above = hierarchy.mountpoint
    for level in _levels(hierarchy, path):
        if wanted:
            reason = "a child has a controller's files only if its parent passes it on"
            plan.append(Enable(path=above, controllers=wanted, required=required, reason=reason))
        plan.append(_make(hierarchy, level, path))
        above = level
    return plan
