"""What this kernel can do, found out by doing it, once a process.

Version numbers are no answer, since distributions carry features back and builders leave them out.
Each probe changes nothing that outlives it. They tell "the kernel lacks it" from "we may not": a
refusal for want of privilege is False too, since a feature that can't be used is none.
"""

from __future__ import annotations

import errno
import os

from onggi.linux import cgroup, mount, namespace, path, process, seccomp
from onggi.linux.fd import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def _once(probe: Callable[[], bool]) -> Callable[[], bool]:
    """Remember the answer of a probe."""
    answers: list[bool] = []

    def remembered() -> bool:
        if not answers:
            answers.append(probe())
        return answers[0]

    remembered.__doc__ = probe.__doc__
    remembered.__name__ = probe.__name__
    return remembered


def _works(attempt: Callable[[], int | None]) -> bool:
    """Tell whether `attempt` succeeds; a descriptor that it opens is closed."""
    return _errno_of(attempt) == 0


def _errno_of(attempt: Callable[[], int | None]) -> int | None:
    try:
        number = attempt()
    except OSError as error:
        return error.errno
    if number is not None:
        os.close(number)
    return 0


@_once
def probe_openat2() -> bool:
    """Lookups within limits.

    Since Linux kernel commit fddb5d430ad9 ("open: introduce openat2(2) syscall") (in v5.6).
    """
    flags, resolve = os.O_PATH, path.RESOLVE_IN_ROOT
    return _works(lambda: path.openat2(path.AT_FDCWD, "/", flags, 0, resolve))


@_once
def probe_mount_api() -> bool:
    """Mounting by descriptors: fsopen, fsmount, open_tree, move_mount.

    Since Linux kernel commit a07b20004793 ("vfs: syscall: Add open_tree(2) to reference or clone
    a mount") and those after it (in v5.2).
    """
    return _works(lambda: mount.fsopen("tmpfs"))


@_once
def probe_mount_setattr() -> bool:
    """Changing the attributes of a whole tree of mounts.

    Since Linux kernel commit 2a1867219c7b ("fs: add mount_setattr()") (in v5.12).
    """
    return _errno_of(lambda: mount.mount_setattr(-1, "", mount.AT_EMPTY_PATH)) != errno.ENOSYS


@_once
def probe_idmapped_mounts() -> bool:
    """Mounts that show other owners (whether a filesystem takes part is its own matter).

    Since Linux kernel commit 9caccd41541a ("fs: introduce MOUNT_ATTR_IDMAP") (in v5.12). The
    initial user namespace is no permitted map, and is refused as such (EPERM) only by a kernel
    that knows the attribute.
    """
    return _errno_of(_idmap_with_initial_namespace) == errno.EPERM


def _idmap_with_initial_namespace() -> None:
    flags = mount.OPEN_TREE_CLONE | mount.OPEN_TREE_CLOEXEC
    with (
        Fd(mount.open_tree(mount.AT_FDCWD, "/", flags)) as tree,
        Fd(os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)) as owner,
    ):
        attribute = mount.MOUNT_ATTR_IDMAP
        mount.mount_setattr(tree, "", mount.AT_EMPTY_PATH, attr_set=attribute, userns_fd=owner)


@_once
def probe_overlayfs() -> bool:
    """Whether the kernel has overlayfs, and lets us use it."""
    return _works(lambda: mount.fsopen("overlay"))


@_once
def probe_overlay_lowerdir_append() -> bool:
    """Adding an overlay's lower directories one by one, beyond a page of options.

    Since Linux kernel commit 24e16e385f22 ("ovl: add support for appending lowerdirs one by
    one") (in v6.7).
    """
    return _works(_append_lower_directory)


def _append_lower_directory() -> None:
    with Fd(mount.fsopen("overlay")) as context:
        mount.fsconfig_string(context, "lowerdir+", "/")
        # Until 6.5 overlayfs looked at its options only when it was made: anything was taken.
        if _errno_of(lambda: mount.fsconfig_flag(context, "no-such-option")) != errno.EINVAL:
            raise OSError(errno.EOPNOTSUPP, "options are not looked at one by one")


@_once
def probe_close_range() -> bool:
    """Marking all descriptors close-on-exec at once.

    Since Linux kernel commit 582f1fb6b721 ("fs, close_range: add flag CLOSE_RANGE_CLOEXEC")
    (in v5.11).
    """
    last = process.LAST_FD
    return _works(lambda: process.close_range(last, last, process.CLOSE_RANGE_CLOEXEC))


@_once
def probe_pidfd() -> bool:
    """Descriptors that stand for processes.

    Since Linux kernel commit 32fcb426ec00 ("pid: add pidfd_open()") (in v5.3).
    """
    return _works(lambda: process.pidfd_open(os.getpid()))


@_once
def probe_seccomp() -> bool:
    """Seccomp filters, and the action that kills the whole process.

    Since Linux kernel commit 0466bdb99e87 ("seccomp: Implement SECCOMP_RET_KILL_PROCESS action")
    (in v4.14).
    """
    try:
        return seccomp.action_available(seccomp.SECCOMP_RET_KILL_PROCESS)
    except OSError:
        return False


def _has_namespace(name: str) -> bool:
    """Tell whether the kernel was built with a kind of namespace."""
    return os.path.exists(f"/proc/self/ns/{namespace.NAMESPACES[name][1]}")


@_once
def probe_user_namespaces() -> bool:
    """User namespaces, and that at least one may be made."""
    try:
        with open("/proc/sys/user/max_user_namespaces", "rb", buffering=0) as file:
            return _has_namespace("user") and int(file.read()) > 0
    except FileNotFoundError:
        return False


@_once
def probe_time_namespaces() -> bool:
    """Clocks of their own for containers.

    Since Linux kernel commit 769071ac9f20 ("ns: Introduce Time Namespace") (in v5.6).
    """
    return _has_namespace("time")


@_once
def probe_cgroup_namespaces() -> bool:
    """Views of the cgroup tree from the container's own cgroup.

    Since Linux kernel commit a79a908fd2b0 ("cgroup: introduce cgroup namespaces") (in v4.6).
    """
    return _has_namespace("cgroup")


@_once
def probe_cgroup2() -> bool:
    """Whether the version 2 hierarchy is mounted, with controllers or without."""
    return any(one.version == 2 for one in cgroup.hierarchies())
