"""The facts of a container that runs, read from the kernel.

Everything is read from the host's side, through /proc/PID and by descriptors that lead nowhere but
inside; nothing is executed in the container, stopped or traced. What no kernel file tells is taken
from its record: the seccomp filter's program (that there is one, the kernel tells), and device
rules on cgroup v2, where they are a program too.
"""

from __future__ import annotations

import os
import stat
from functools import partial

from onggi.engine import cgroups
from onggi.engine.security import device_files, identities
from onggi.engine.security.facts import HOST, OWN, Credentials, Facts, Limits, Other, Visible, reach
from onggi.linux import cgroup, mountinfo, namespace, process_status
from onggi.linux.device import NULL
from onggi.linux.fd import Fd
from onggi.linux.filesystem import TMPFS_MAGIC, magic
from onggi.linux.path import O_DIRECTORY, O_PATH, Inside
from onggi.resources.devices import Rule
from onggi.resources.measure import measure
from onggi.runtime.spec import MASKED_PATHS
from onggi.runtime.start import read_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.container import Container
    from onggi.engine.engine import Engine
    from onggi.linux.process_status import ProcessStatus

    Json = dict[str, Any]

_UNLIMITED = 1 << 62  # v1 writes the largest page-aligned number for no limit


def facts(engine: Engine, container: Container, pid: int) -> Facts:
    """Read all that is known of the container whose first process is `pid`.

    Raises: OSError: ENOENT or ESRCH, it ended meanwhile.
    """
    record = container.record
    status = process_status.read(pid)
    mounts = _mounts(pid)
    with Fd(os.open(f"/proc/{pid}/root", O_PATH | O_DIRECTORY | os.O_CLOEXEC)) as root:
        inside = Inside(root)
        masked = frozenset(path for path in MASKED_PATHS if is_hidden(inside, path))
        nodes = device_files.nodes(inside, _holders(mounts), _bound(record))
    return Facts(
        pid=pid,
        record=record,
        trees=container.trees(),
        credentials=_credentials(record, status),
        program=read_filter(engine.filter_file(record)[0]) if status.seccomp == 2 else b"",
        namespaces=namespaces(pid, _neighbours(engine, container)),
        mounts=mounts,
        masked=masked,
        read_only=all(mount.read_only for mount in mounts if mount.path == "/"),
        nodes=nodes,
        devices=_rules(container, pid),
        limits=_limits(container, pid),
        network_path=f"/proc/{pid}/ns/net",
        rootless=identities.is_rootless(),
        controllers=engine.host.controllers,
        others=_others(container, pid),
    )


def _credentials(record: Json, status: ProcessStatus) -> Credentials:
    return Credentials(
        uid=status.uid,
        gid=status.gid,
        groups=status.groups,
        capabilities=status.capabilities,
        no_new_privs=status.no_new_privs,
        users=identities.users(record),
        host_uid=identities.host_uid(status.uid),
    )


def _others(container: Container, pid: int) -> list[Other]:
    """Return its further processes, what `exec` brought among them."""
    directories = (path for _, path in cgroups.directories(container.id, container.record, pid))
    found = []
    for other in sorted({one for path in directories for one in cgroup.tree_processes(path)}):
        try:
            status = process_status.read(other)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        if other != pid:
            reached = reach(status.capabilities, no_new_privs=status.no_new_privs)
            found.append(Other(other, status.name, reached))
    return found


def _mounts(pid: int) -> list[Visible]:
    return [
        Visible(
            mount.mountpoint,
            mount.fstype,
            read_only="ro" in mount.options or "ro" in mount.super_options,
            root=mount.root,
            opener=partial(_open, pid, mount.mountpoint, mount.id),
        )
        for mount in mountinfo.read(pid)
    ]


def _open(pid: int, path: str, identifier: int) -> int:
    """Open a mount of the container's by its path; -1 if another one covers it."""
    with Fd(os.open(f"/proc/{pid}/root", O_PATH | O_DIRECTORY | os.O_CLOEXEC)) as root:
        try:
            place = Fd(Inside(root).open(path, O_PATH))
        except (FileNotFoundError, NotADirectoryError):
            return -1  # what covers it has no such name
    with place:
        return place.take() if _mount_id(place) == identifier else -1


def _mount_id(place: Fd) -> int:
    """Tell which mount a descriptor is on. Source: proc_pid_fdinfo(5)."""
    with open(f"/proc/self/fdinfo/{place.fileno()}", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["mnt_id"])


def is_hidden(inside: Inside, path: str) -> bool:
    """Tell whether the kernel's file at a path is not there, or something empty covers it."""
    try:
        place = Fd(inside.open(path, O_PATH))
    except (FileNotFoundError, NotADirectoryError):
        return True
    with place:
        status = os.fstat(place.fileno())
        if stat.S_ISDIR(status.st_mode):
            return magic(place) == TMPFS_MAGIC
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(*NULL)


def _holders(mounts: list[Visible]) -> list[str]:
    """Return the directories in which device files are to be looked for."""
    return sorted({"/dev"} | {mount.path for mount in mounts if mount.fstype == "devtmpfs"})


def _bound(record: Json) -> list[str]:
    return [mount["destination"] for mount in record["config"]["mounts"]]


def _neighbours(engine: Engine, container: Container) -> dict[str, int]:
    return {one.name: one.pid for one in engine.containers.list() if one.id != container.id}


def namespaces(pid: int, neighbours: dict[str, int]) -> dict[str, str]:
    """Tell whose each namespace of a process is: its own, another container's too, or ours.

    Ours are the host's, as far as anybody can see from here.

    Args: neighbours: the first processes of other containers, by name.
    """
    found = {}
    for kind in namespace.NAMESPACES:
        theirs = _namespace(pid, kind)
        sharing = [name for name, one in neighbours.items() if _namespace(one, kind) == theirs]
        if theirs and theirs == _namespace("self", kind):
            found[kind] = HOST
        elif theirs:
            found[kind] = f"shared with {', '.join(sharing)}" if sharing else OWN
    return found


def _namespace(pid: int | str, kind: str) -> str:
    """Return the identity of a process' namespace; "" where it has ended, or there is no such."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{namespace.NAMESPACES[kind][1]}")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _rules(container: Container, pid: int) -> list[Rule]:
    """Return the device rules that hold, as v1's controller tells them, or as they were made."""
    for hierarchy, path in cgroups.directories(container.id, container.record, pid):
        if hierarchy.version == 1 and "devices" in hierarchy.controllers:
            lines = cgroup.read(f"{path}/devices.list").splitlines()
            return [rule for line in lines for rule in rules_of_line(line)]
    return identities.device_rules(container.record)


def rules_of_line(line: str) -> list[Rule]:
    """Read one line of devices.list, such as "c 1:* rwm". Source: cgroup-v1/devices.rst."""
    kind, numbers, access = line.split()
    major, minor = (None if word == "*" else int(word) for word in numbers.split(":"))
    kinds = "cb" if kind == "a" else kind
    return [Rule(allow=True, kind=one, major=major, minor=minor, access=access) for one in kinds]


def _limits(container: Container, pid: int) -> Limits:
    directories = cgroups.directories(container.id, container.record, pid)
    used = measure(directories)
    with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:
        score = int(file.read())
    memory = used.memory_limit_bytes
    return Limits(
        pids=used.pids_limit,
        memory=None if memory is None or memory >= _UNLIMITED else memory,
        cpus=_cpus([path for _, path in directories]),
        oom_score_adj=score,
    )


def _cpus(directories: list[str]) -> float | None:
    """Return how many processors' worth of time the kernel grants; None is all there are.

    Source: kernel Documentation/scheduler/sched-bwc.rst; cgroup-v2.rst, "cpu.max".
    """
    for path in directories:
        if os.path.exists(f"{path}/cpu.max"):
            quota, period = cgroup.read(f"{path}/cpu.max").split()
            return None if quota == "max" else int(quota) / int(period)
        if os.path.exists(f"{path}/cpu.cfs_quota_us"):
            micros = int(cgroup.read(f"{path}/cpu.cfs_quota_us"))
            whole = int(cgroup.read(f"{path}/cpu.cfs_period_us"))
            return None if micros < 0 else micros / whole
    return None
