"""Control groups as a filesystem, version 1, version 2 or both at once.

Facts before policy:

- A host may mount v1 hierarchies beside a v2 one; each controller lives in exactly one of them.
- A value is taken by one write(2); a second one would be a second request.
- rmdir answers EBUSY while a process (also one that has just died) or a child group is inside.
- Version 1 has no "kill all"; freezing first keeps the processes from outrunning the signals. A
  frozen process of version 1 dies only when it is thawed.

Source: cgroups(7); Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

from __future__ import annotations

import errno
import os
import time

from onggi.linux import mountinfo
from onggi.linux._failure import failure, path_bytes
from onggi.linux.fd import Fd

_SIGKILL = 9
_OUTSIDE = frozenset((0,))  # how a process of another PID namespace is listed
_FIRST_WAIT_SECONDS = 0.001
_PATIENCE_SECONDS = 2.0

# What stands among a v1 hierarchy's options without being a controller.
_NOT_CONTROLLERS = frozenset(
    ("rw", "ro", "none", "xattr", "clone_children", "noprefix", "seclabel", "cpuset_v2_mode")
)


class Hierarchy:
    """One mounted cgroup tree.

    `version` is 1 or 2; `name` is "systemd" for a v1 hierarchy mounted with name=systemd, else "";
    `root` is the cgroup that the mount point shows: "/" unless a part was mounted.
    """

    __slots__ = ("controllers", "mountpoint", "name", "root", "version")

    def __init__(
        self,
        *,
        version: int,
        controllers: tuple[str, ...],
        name: str,
        mountpoint: str,
        root: str,
    ) -> None:
        self.version = version
        self.controllers = controllers
        self.name = name
        self.mountpoint = mountpoint
        self.root = root

    def __repr__(self) -> str:
        label = ",".join(self.controllers) or f"name={self.name}"
        return f"<cgroup v{self.version} {label} at {self.mountpoint}>"

    @property
    def key(self) -> str:
        """What `memberships` calls this hierarchy: "" for v2, "name=systemd", or a controller."""
        if self.version == 2:
            return ""
        return self.controllers[0] if self.controllers else f"name={self.name}"

    def directory(self, group: str) -> str:
        """Tell where cgroup `group` (a path as in /proc/PID/cgroup) lies in the filesystem.

        Raises: OSError: ENOENT, it is outside what is mounted.
        """
        root = self.root.rstrip("/")
        if group != root and not group.startswith(root + "/"):
            raise failure("open", group, errno.ENOENT)
        return (self.mountpoint + group[len(root) :]).rstrip("/")


def hierarchies() -> list[Hierarchy]:
    """List the mounted cgroup hierarchies, each once, in the order they were mounted.

    Of several mounts of one hierarchy the one that shows most of it is taken; one that another
    mount hides is not.
    """
    best: dict[tuple[int, int], mountinfo.MountInfo] = {}
    for mount in mountinfo.read():
        if mount.fstype not in ("cgroup", "cgroup2") or _is_hidden(mount):
            continue
        known = best.setdefault((mount.major, mount.minor), mount)
        if len(mount.root) < len(known.root):
            best[mount.major, mount.minor] = mount
    return [_hierarchy(mount) for mount in best.values()]


def _is_hidden(mount: mountinfo.MountInfo) -> bool:
    """Tell whether its mount point leads to something else, because of a later mount."""
    try:
        device = os.stat(mount.mountpoint).st_dev
    except FileNotFoundError:
        return True
    return device != os.makedev(mount.major, mount.minor)


def _hierarchy(mount: mountinfo.MountInfo) -> Hierarchy:
    if mount.fstype == "cgroup2":
        version, name = 2, ""
        controllers = tuple(read(f"{mount.mountpoint}/cgroup.controllers").split())
    else:
        version = 1
        options = [option for option in mount.super_options if option not in _NOT_CONTROLLERS]
        controllers = tuple(option for option in options if "=" not in option)
        name = "".join(option[5:] for option in options if option.startswith("name="))
    return Hierarchy(
        version=version,
        controllers=controllers,
        name=name,
        mountpoint=mount.mountpoint,
        root=mount.root,
    )


def memberships(pid: int | str = "self") -> dict[str, str]:
    """Tell in which cgroup of each hierarchy process `pid` is.

    Returns: {controller, or "name=...", or "" for version 2: path within that hierarchy}.
    Source: cgroups(7), "/proc/pid/cgroup".
    """
    with open(f"/proc/{pid}/cgroup", "rb") as file:
        return parse_memberships(os.fsdecode(file.read()))


def parse_memberships(text: str) -> dict[str, str]:
    """Parse /proc/PID/cgroup; controllers mounted together are entered one by one."""
    groups = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path
    return groups


def read(path: str | bytes) -> str:
    """Read a cgroup file, without the newline at its end."""
    with open(path_bytes(path), "rb", buffering=0) as file:
        return os.fsdecode(file.readall()).rstrip("\n")


def read_keyed(path: str | bytes) -> dict[str, int]:
    """Read a file of "key number" lines, such as cpu.stat or memory.events.

    Source: cgroup-v2.rst, "Format": flat keyed.
    """
    pairs = (line.split(" ", 1) for line in read(path).splitlines())
    return {key: int(value) for key, value in pairs}


def write(path: str | bytes, value: str | bytes | int) -> None:
    """Write `value` to a cgroup file by one system call, neither more nor less.

    The file must exist: nothing is created where no cgroup is mounted.

    Raises: OSError: with the file as `filename` and the value in a note and the attribute
        `value`; EIO, the kernel took only part of it; otherwise what the controller says.
    """
    content = os.fsencode(str(value) if isinstance(value, int) else value)
    try:
        with Fd(os.open(path_bytes(path), os.O_WRONLY | os.O_CLOEXEC)) as file:
            written = os.write(file.fileno(), content)
    except OSError as error:
        raise _refusal(path, content, error.errno) from None
    if written != len(content):
        raise _refusal(path, content, errno.EIO)


def _refusal(path: str | bytes, content: bytes, code: int | None) -> OSError:
    error = failure("write", path, code)
    error.value = os.fsdecode(content)  # type: ignore[attr-defined]  # for whoever explains it
    error.add_note(f"writing {os.fsdecode(content)!r}")
    return error


def join(path: str | bytes) -> None:
    """Place the calling process, which has one thread, in cgroup `path`.

    In version 1 by writing 0 to `tasks`: then the kernel need not stop every fork on the machine,
    for which it would wait up to 20 ms. In version 2, which has no such file, it must; a process
    that is yet to be made is better born there: see `clone.fork`.

    Raises: OSError: as `write`.
    Source: the kernel's kernel/cgroup/cgroup.c, cgroup_procs_write_start.
    """
    file = b"/cgroup.procs" if is_version_2(path) else b"/tasks"
    write(path_bytes(path) + file, "0")


def is_version_2(path: str | bytes) -> bool:
    """Tell whether cgroup `path` is of version 2, in which there is no file `tasks`."""
    return not os.path.exists(path_bytes(path) + b"/tasks")


def make(path: str | bytes) -> bool:
    """Make the cgroup directory `path`, below one that exists.

    Returns: True if this call made it, False if it was there.
    Raises: OSError: ENOENT, its parent does not exist; EAGAIN, cgroup.max.descendants or
        cgroup.max.depth is reached.
    """
    try:
        os.mkdir(path_bytes(path), 0o755)
    except FileExistsError:
        return False
    return True


def remove(path: str | bytes) -> None:
    """Remove cgroup `path` and those below it; that it is gone already is fine.

    Processes that have been killed leave a little later, so EBUSY is answered by trying again,
    for two seconds at most. Living processes are not touched.

    Raises: OSError: EBUSY, there are still processes inside.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    wait = _FIRST_WAIT_SECONDS
    while not _removed(path_bytes(path)):
        if time.monotonic() >= deadline:
            raise failure("rmdir", path, errno.EBUSY)
        time.sleep(wait)
        wait *= 2


def clear(path: str | bytes) -> None:
    """Remove cgroup `path`, having killed what is left in it and below; gone already is fine.

    Most often nothing is left, and one rmdir(2) does it.

    Raises: OSError: as `kill` and `remove`.
    """
    if not _removed(path_bytes(path)):
        kill(path)
        remove(path)


def _removed(path: bytes) -> bool:
    """Remove the tree as far as it can be done now; tell whether that was all."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        below = [_removed(child) for child in children(path)]
        return any(below) and all(below) and _removed(path)
    return True


def children(path: str | bytes) -> list[bytes]:
    """List the cgroups directly below `path`, as paths; none if it does not exist."""
    try:
        with os.scandir(path_bytes(path)) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def processes(path: str | bytes) -> list[int]:
    """List the processes directly in cgroup `path`, none if it does not exist.

    The list is no snapshot, and 0 stands for a process outside the caller's PID namespace.
    """
    try:
        return [int(pid) for pid in read(path_bytes(path) + b"/cgroup.procs").split()]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):  # ENODEV: removed while it was open
            return []
        raise


def kill(path: str | bytes) -> None:
    """Send SIGKILL to every process in cgroup `path` and below; gone already is fine.

    On return no process is left that could fork; the dying may still be listed for a moment.

    Source: cgroup-v2.rst, cgroup.kill.
    Since: Linux 5.14, commit 661ee6280931 ("cgroup: introduce cgroup.kill"); elsewhere the
        processes are killed one by one, frozen meanwhile if the hierarchy can freeze.
    """
    try:
        write(path_bytes(path) + b"/cgroup.kill", "1")
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            raise
        _kill_each(path_bytes(path))


def _kill_each(path: bytes) -> None:
    from onggi.linux.members import signal_each

    _freeze(path, b"FROZEN")
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        signalled: set[int] = set()
        while fresh := set(tree_processes(path)) - signalled - _OUTSIDE:
            signal_each(fresh, _SIGKILL, lambda: tree_processes(path))
            signalled |= fresh
            if time.monotonic() >= deadline:
                raise failure("kill", path, errno.EBUSY)
    finally:
        _freeze(path, b"THAWED")


def tree_processes(path: str | bytes) -> list[int]:
    """List the processes in cgroup `path` and in those below it; as `processes`, no snapshot."""
    pids = processes(path)
    for child in children(path):
        pids += tree_processes(child)
    return pids


def _freeze(path: bytes, state: bytes) -> None:
    """Freeze or thaw a v1 freezer cgroup; other hierarchies have no such file."""
    try:
        write(path + b"/freezer.state", state)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
