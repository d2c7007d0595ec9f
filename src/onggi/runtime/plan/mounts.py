"""Plan the container's file tree: from the specification's mounts and devices to steps. Pure."""

from __future__ import annotations

import os

from onggi.errors import InvalidInput
from onggi.runtime.steps import devices, mounts
from onggi.runtime.steps.options import ATTRIBUTES, BIND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from onggi.linux.cgroup import Hierarchy
    from onggi.oci.mount import Mount
    from onggi.runtime.steps.base import Step

# Source: runtime-spec config-linux.md, "Default Devices".
DEFAULT_DEVICES = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)

# File systems that show a namespace, and can be mounted by who has privileges over that alone; and
# where the host has them. Source: user_namespaces(7), "Interaction of user namespaces and other
# types of namespaces".
SHOWN = {
    "cgroup": ("cgroup", "/sys/fs/cgroup"),
    "mqueue": ("ipc", "/dev/mqueue"),
    "proc": ("pid", "/proc"),
    "sysfs": ("network", "/sys"),
}

# Source: runtime-spec runtime-linux.md, "Dev symbolic links"; ptmx as config-linux.md asks.
DEVICE_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
)


def plan_root(target: str, rootfs: Iterable[Mount]) -> list[Step]:
    """Return the step that gives the container its root at `target`, a directory of the host.

    `rootfs` is what the storage says: one overlay mount, or nothing for a directory as it is. A
    tmpfs before it gets the overlay's upper and work directory, like the directory its source is.
    """
    listed = list(rootfs)
    if not listed:
        return [mounts.BindRoot(target)]
    if len(listed) == 2 and listed[0].type == "tmpfs":
        from onggi.runtime.steps.scratch import MountScratch

        first = MountScratch(listed[0].target, listed[0].source, listed[0].options)
        return [first, *plan_root(target, listed[1:])]
    if len(listed) != 1 or listed[0].type != "overlay":
        raise InvalidInput(f"a root file system of {len(listed)} mounts", hint="one overlay")
    return [mounts.MountOverlay(target, listed[0].options)]


def plan_mounts(
    config: dict[str, Any],
    hierarchies: Iterable[Hierarchy],
    own: tuple[str, ...] = (),
    lent: frozenset[str] = frozenset(),
) -> list[Step]:
    """Return the steps for everything mounted below the root, in the specification's order.

    Args: own: the container's cgroup in each hierarchy, if it has no cgroup namespace. lent: kinds
        of the host's namespaces that the container shares and has no privileges over.
    """
    steps: list[Step] = []
    label = config.get("linux", {}).get("mountLabel", "")
    for entry in config.get("mounts", []):
        target = entry["destination"]
        if not target.startswith("/"):
            raise InvalidInput(f"mount destination {target!r} is relative", hint="it starts with /")
        planned = _plan_mount(entry, target, hierarchies, own, lent)
        steps += _plan_labelled(entry, planned, label) if label else planned
    return steps


def _plan_mount(
    entry: dict[str, Any],
    target: str,
    hierarchies: Iterable[Hierarchy],
    own: tuple[str, ...],
    lent: frozenset[str],
) -> list[Step]:
    options = tuple(entry.get("options", ()))
    kind = entry.get("type", "bind" if BIND.intersection(options) else "none")
    if kind == "bind" or BIND.intersection(options):
        words = options if BIND.intersection(options) else ("rbind", *options)
        if entry.get("uidMappings"):
            return _plan_mapped(entry, target, words)
        return [mounts.BindMount(entry["source"], target, words)]
    if SHOWN.get(kind, ("",))[0] in lent and not own:
        return [_plan_shown(kind, target, options)]
    if kind == "cgroup":
        return plan_cgroup_view(target, options, hierarchies, own)
    return [mounts.MountFilesystem(kind, entry.get("source", kind), target, options)]


def _plan_labelled(entry: dict[str, Any], planned: list[Step], label: str) -> list[Step]:
    """Have what is mounted newly labelled as SELinux wants it."""
    from onggi.runtime.plan import labels

    more = labels.label_options(entry, label)
    steps = [
        mounts.MountFilesystem(step.fstype, step.source, step.target, (*step.options, *more))
        if isinstance(step, mounts.MountFilesystem)
        else step
        for step in planned
    ]
    return [*steps, *labels.plan_labelled(entry, label)]


def _plan_shown(kind: str, target: str, options: tuple[str, ...]) -> Step:
    """Show the host's own instance of a file system that can't be mounted, with all below it.

    The kernel lets nobody look behind what a more privileged one has mounted on it.
    """
    deep = tuple(f"r{word}" for word in options if word in ATTRIBUTES)
    return mounts.BindMount(SHOWN[kind][1], target, ("rbind", "rslave", *deep))


def _plan_mapped(entry: dict[str, Any], target: str, words: tuple[str, ...]) -> list[Step]:
    from onggi.runtime.plan.users import user_map
    from onggi.runtime.steps.owners import MappedBind

    return [MappedBind(entry["source"], target, words, user_map(entry))]


def plan_cgroup_view(
    target: str,
    options: tuple[str, ...],
    hierarchies: Iterable[Hierarchy],
    own: tuple[str, ...] = (),
) -> list[Step]:
    """Return the steps that show the container its own cgroup files, laid out as on the host.

    In a cgroup namespace the root of each mount is the container's own cgroup. On a host with v2
    alone that is one mount; otherwise a tmpfs with a directory for each hierarchy. Without such a
    namespace its cgroup of v1 is bound there, and of v2 alone the host's tree, as runc shows it:
    bound, for whoever mounts cgroup2 in the host's cgroup namespace sets the flags of all its
    mounts, and takes `nsdelegate` away (kernel/cgroup/cgroup.c, apply_cgroup_root_flags).
    """
    known = list(hierarchies)
    if [hierarchy.version for hierarchy in known] == [2]:
        if own:
            return [mounts.BindMount(known[0].mountpoint, target, ("bind", *options))]
        return [mounts.MountFilesystem("cgroup2", "cgroup", target, options)]
    keep = tuple(word for word in options if word in ("nosuid", "nodev", "noexec"))
    steps: list[Step] = [mounts.MountFilesystem("tmpfs", "tmpfs", target, (*keep, "mode=755"))]
    for hierarchy, path in zip(known, own or ("",) * len(known), strict=True):
        name = os.path.basename(hierarchy.mountpoint)
        steps.append(_plan_hierarchy(hierarchy, f"{target}/{name}", options, path))
        if "," in name:
            steps += [devices.MakeSymlink(f"{target}/{one}", name) for one in name.split(",")]
    if "ro" in options:
        steps.append(mounts.RemountReadonly(target))
    return steps


def _plan_hierarchy(hierarchy: Hierarchy, target: str, options: tuple[str, ...], own: str) -> Step:
    if own:
        return mounts.BindMount(own, target, ("bind", *options))
    if hierarchy.version == 2:
        return mounts.MountFilesystem("cgroup2", "cgroup", target, options)
    named = ("none", f"name={hierarchy.name}") if hierarchy.name else ()
    what = (*hierarchy.controllers, *named)
    return mounts.MountFilesystem("cgroup", "cgroup", target, (*options, *what))


def plan_devices(config: dict[str, Any], *, mapped: bool) -> list[Step]:
    """Return the steps that fill /dev, where the specification mounts a new one.

    A directory of the host that is bound there has what it has, and nothing is made in it. In a
    user namespace (`mapped`) nobody may make nodes, so the host's are bound instead.

    Source: runc libcontainer/rootfs_linux.go, needsSetupDev.
    """
    if not any(map(_is_new_dev, config.get("mounts", []))):
        return []
    nodes: dict[str, dict[str, Any]] = {
        path: {"path": path, "type": "c", "major": major, "minor": minor}
        for path, major, minor in DEFAULT_DEVICES
    }
    # Of two at one path the last counts: an asked-for one takes the place of a default.
    for entry in config.get("linux", {}).get("devices", []):
        nodes[entry["path"]] = entry
    if mapped:
        bound = {entry["destination"] for entry in config["mounts"]}
        free = [path for path in nodes if path not in bound]
        steps = [_plan_shared_node(nodes[path]) for path in free]
    else:
        steps = [_plan_node(node) for node in nodes.values()]
    steps += [devices.MakeSymlink(path, target) for path, target in DEVICE_LINKS]
    return steps


def _is_new_dev(entry: dict[str, Any]) -> bool:
    bound = entry.get("type") == "bind" or BIND.intersection(entry.get("options", ()))
    return entry["destination"] == "/dev" and not bound


def _plan_shared_node(entry: dict[str, Any]) -> Step:
    if entry["type"] == "p":
        return _plan_node(entry)  # which anybody may make
    numbers = (entry.get("major", 0), entry.get("minor", 0))
    return devices.BindDevice(entry["path"], entry["type"], *numbers)


def _plan_node(entry: dict[str, Any]) -> Step:
    return devices.MakeDevice(
        entry["path"],
        entry["type"],
        entry.get("major", 0),
        entry.get("minor", 0),
        mode=entry.get("fileMode", 0o666),
        uid=entry.get("uid", 0),
        gid=entry.get("gid", 0),
    )


def plan_hidden(config: dict[str, Any]) -> list[Step]:
    """Return the steps that mask paths and make paths read-only."""
    linux = config.get("linux", {})
    steps: list[Step] = [mounts.MaskPath(path) for path in linux.get("maskedPaths", [])]
    return steps + [mounts.ReadonlyPath(path) for path in linux.get("readonlyPaths", [])]
