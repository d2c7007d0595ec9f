"""The facts of a container that does not run: what its record, or a plan, says it would be.

What the kernel would show to it is looked at as it would be shown: a procfs and a sysfs of this
moment, mounted nowhere, with the mounts of the configuration above them.
"""

from __future__ import annotations

import os
from functools import partial

from onggi.engine.security import device_files, identities
from onggi.engine.security.facts import HOST, OWN, Credentials, Facts, Limits, Node, Visible
from onggi.linux import capability, mountinfo, namespace
from onggi.linux.fd import Fd
from onggi.linux.mount import fsconfig_create, fsmount, fsopen
from onggi.linux.path import AT_FDCWD, O_DIRECTORY, O_PATH, Inside, openat2
from onggi.linux.procfs import fresh_proc
from onggi.runtime.plan.mounts import DEFAULT_DEVICES
from onggi.runtime.spec import MASKED_PATHS
from onggi.runtime.start import read_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.engine import Engine
    from onggi.linux.mountinfo import MountInfo

    Json = dict[str, Any]

_READ_ONLY = ("ro", "rro")
_NO_LIMIT = (None, 0, -1)
MASK = "mask"  # stands for the type of what hides a file


def facts(engine: Engine, record: Json, trees: list[str]) -> Facts:
    """Say all that is known of a container that would be made of `trees` as `record` says."""
    config = record["config"]
    linux = config["linux"]
    kinds = {entry["type"]: entry.get("path") for entry in linux["namespaces"]}
    return Facts(
        pid=0,
        record=record,
        trees=trees,
        credentials=_credentials(record),
        program=read_filter(engine.filter_file(record)[0]),
        namespaces={kind: _whose(kinds, kind) for kind in namespace.NAMESPACES},
        mounts=_mounts(config),
        masked=_masked(linux),
        read_only=config["root"]["readonly"],
        nodes=_nodes(config),
        devices=identities.device_rules(record),
        limits=_limits(config),
        rootless=identities.is_rootless(),
        controllers=engine.host.controllers,
        network_path="new" if "network" in kinds else "",
    )


def _credentials(record: Json) -> Credentials:
    process = record["config"]["process"]
    user, mapping = process["user"], identities.users(record)
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    groups = user.get("additionalGids", ())
    if mapping is not None:
        groups = [mapping.outside(uid, each)[1] for each in groups]
        uid, gid = mapping.outside(uid, gid)
    names = ("inheritable", "permitted", "effective", "bounding", "ambient")
    sets = {name: capability.mask(process["capabilities"].get(name, ())) for name in names}
    return Credentials(
        uid=uid,
        gid=gid,
        groups=groups,
        capabilities=sets,
        no_new_privs=bool(process.get("noNewPrivileges")),
        users=mapping,
        host_uid=identities.host_uid(uid),
    )


def _whose(kinds: dict[str, str | None], kind: str) -> str:
    if kind not in kinds:
        return HOST
    return f"shared by {kinds[kind]}" if kinds[kind] else OWN


def _masked(linux: Json) -> frozenset[str]:
    hidden = {path for path in MASKED_PATHS if not os.path.exists(path)}
    return frozenset(hidden.union(linux.get("maskedPaths", ())))


def _mounts(config: Json) -> list[Visible]:
    """Return what would be mounted; what hides or protects something counts as a mount."""
    linux, root_only = config["linux"], config["root"]["readonly"]
    found = [Visible("/", "overlay", read_only=root_only, opener=_nowhere)]
    for entry in config["mounts"]:
        found += _binds(entry) if entry["type"] == "bind" else [_own(entry)]
    found += [
        Visible(path, MASK, read_only=True, opener=_nowhere)
        for path in linux.get("maskedPaths", ())
    ]
    found += [
        Visible(path, "proc", read_only=True, opener=_nowhere)
        for path in linux.get("readonlyPaths", ())
    ]
    return found


def _own(entry: Json) -> Visible:
    openers = {"proc": _proc, "sysfs": _sysfs}
    kind = entry["type"]
    return Visible(
        entry["destination"],
        kind,
        read_only="ro" in entry.get("options", ()),
        opener=openers.get(kind, _nowhere),
    )


def _nowhere() -> int:
    return -1


def _proc() -> int:
    """Open a procfs as it would be; the host's, where nobody may mount one."""
    try:
        return fresh_proc()
    except PermissionError:
        return _open_host("/proc")


def _sysfs() -> int:
    """Open the sysfs of the caller's network namespace, likewise."""
    try:
        with Fd(fsopen("sysfs")) as context:
            fsconfig_create(context)
            return fsmount(context)
    except PermissionError:
        return _open_host("/sys")


def _binds(entry: Json) -> list[Visible]:
    """Return the host's mounts that a bind mount shows, each at its place inside."""
    source = os.path.realpath(entry["source"])
    options = entry.get("options", ())
    shown = [_bind(entry, source, _holder(source))]
    if "rbind" in options:
        below = [each for each in mountinfo.read() if _is_below(each.mountpoint, source)]
        shown += [_bind(entry, each.mountpoint, each) for each in below]
    return shown


def _is_below(path: str, directory: str) -> bool:
    return path != directory and path.startswith(f"{directory.rstrip('/')}/")


def _holder(path: str) -> MountInfo:
    """Return the mount that a file of the host is on."""
    holders = [
        each
        for each in mountinfo.read()
        if each.mountpoint == path or _is_below(path, each.mountpoint)
    ]
    return max(holders, key=lambda each: len(each.mountpoint))


def _bind(entry: Json, path: str, holder: MountInfo) -> Visible:
    """Return how the host's `path`, on the mount `holder`, is seen inside."""
    source, target = os.path.realpath(entry["source"]), entry["destination"].rstrip("/")
    options = entry.get("options", ())
    top = path == source
    asked = "rro" in options or (top and "ro" in options)
    rest = path[len(source.rstrip("/")) :].rstrip("/")
    return Visible(
        (target + rest) or "/",
        holder.fstype,
        read_only=asked or "ro" in holder.options or "ro" in holder.super_options,
        root=_part(holder, path),
        opener=partial(_open_host, path),
    )


def _part(holder: MountInfo, path: str) -> str:
    """Return which part of a mount's file system a path of the host is."""
    below = path[len(holder.mountpoint.rstrip("/")) :].strip("/")
    return f"{holder.root.rstrip('/')}/{below}".rstrip("/") or "/"


def _open_host(path: str) -> int:
    try:
        return openat2(AT_FDCWD, path, O_PATH)
    except FileNotFoundError:
        return -1


def _nodes(config: Json) -> list[Node]:
    """Return the device files that would be made, and those of the host that would be shown."""
    linux = config["linux"]
    found = [Node(path, "c", major, minor) for path, major, minor in DEFAULT_DEVICES]
    found += [
        Node(one["path"], one["type"], one["major"], one["minor"])
        for one in linux.get("devices", ())
    ]
    for entry in config["mounts"]:
        if entry["type"] == "bind":
            found += _shown(os.path.realpath(entry["source"]), entry["destination"])
    return list({node.path: node for node in found}.values())


def _shown(source: str, target: str) -> list[Node]:
    """Return the device files at a path of the host, or below it where it holds /dev."""
    with Fd(os.open("/", O_PATH | O_DIRECTORY | os.O_CLOEXEC)) as root:
        devices = ["/dev"] if source == "/" else [source] if _is_dev(source) else []
        nodes = device_files.nodes(Inside(root), devices, [source])
    prefix = len(source.rstrip("/"))
    return [
        Node(target.rstrip("/") + node.path[prefix:], node.kind, node.major, node.minor)
        for node in nodes
    ]


def _is_dev(path: str) -> bool:
    return os.path.isdir(path) and (path == "/dev" or path.startswith("/dev/"))


def _limits(config: Json) -> Limits:
    resources = config["linux"]["resources"]
    cpu = resources.get("cpu", {})
    quota, period = cpu.get("quota"), cpu.get("period") or 100_000
    return Limits(
        pids=_bound(resources.get("pids", {}).get("limit")),
        memory=_bound(resources.get("memory", {}).get("limit")),
        cpus=None if quota in _NO_LIMIT else quota / period,
        oom_score_adj=config["process"].get("oomScoreAdj", 0),
    )


def _bound(number: int | None) -> int | None:
    return None if number in _NO_LIMIT else number
