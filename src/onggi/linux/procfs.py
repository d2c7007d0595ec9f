"""Reading and writing /proc so that nothing can stand in its place.

A runtime that writes labels, sysctls or an OOM score to a path below /proc can be led to write to
another file: by a mount over it, a link, or a /proc that is no procfs (CVE-2025-52881 of runc). So
the root of a procfs is opened and proven first, the file is looked up below it without crossing
mounts or magic links, and the file itself is proven to be on procfs before the first byte.

procfs' own plain links ("self", "thread-self", "net", "mounts") are the kernel's and are followed;
a mount over one of them counts as crossed.
"""

from __future__ import annotations

import errno
import os

from onggi.linux._abi import failure
from onggi.linux.fd import Fd
from onggi.linux.filesystem import PROC_SUPER_MAGIC, magic
from onggi.linux.mount import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    fsconfig_create,
    fsmount,
    fsopen,
)
from onggi.linux.path import (
    O_DIRECTORY,
    O_NOFOLLOW,
    O_PATH,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

    from onggi.linux.path import Inside

_ROOT_INODE = 1  # PROC_ROOT_INO of <linux/proc_fs.h>: a part of procfs bound elsewhere has another
_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS


def open_proc(path: str | bytes = "/proc") -> int:
    """Open `path`, which must be the root of a procfs.

    Returns: an O_PATH descriptor the caller owns.
    Raises: OSError: ENOTDIR or ELOOP, no directory; EXDEV, it is no procfs, or not its root.
    Source: fstatfs(2).
    """
    return _proven(os.open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | os.O_CLOEXEC), path)


def open_proc_in(root: Inside, path: str | bytes) -> int:
    """Open `path` inside of `root`, which must be the root of a procfs; else as `open_proc`."""
    return _proven(root.open(path, O_PATH | O_DIRECTORY), path)


def _proven(fd: int, path: str | bytes) -> int:
    with Fd(fd) as root:
        _require_procfs(root, path)
        if os.fstat(root.fileno()).st_ino != _ROOT_INODE:
            raise failure("fstat", path, errno.EXDEV)
        return root.take()


def fresh_proc() -> int:
    """Make a procfs of the caller's own PID namespace, mounted nowhere.

    Nobody else can reach it, so nothing can be mounted over its files.

    Returns: a descriptor of its root that the caller owns; closing it undoes the mount.
    Raises: OSError: EPERM, not privileged over the PID and mount namespaces, or a user
        namespace that sees only part of /proc.
    Since: Linux 5.2.
    Source: fsopen(2), fsmount(2).
    """
    with Fd(fsopen("proc")) as context:
        fsconfig_create(context)
        attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
        return fsmount(context, attributes=attributes)


def open_file(proc_fd: SupportsIndex, relative: str | bytes, flags: int) -> int:
    """Open file `relative` below the procfs root `proc_fd`, and prove it is procfs' own.

    Returns: a close-on-exec descriptor the caller owns.
    Raises: OSError: EXDEV, something is mounted in the way, the path leaves procfs, or
        `proc_fd` was no procfs; ELOOP, a magic link.
    """
    with Fd(openat2(proc_fd, relative, flags, 0, _RESOLVE)) as file:
        _require_procfs(file, relative)
        return file.take()


def write(proc_fd: SupportsIndex, relative: str | bytes, data: str | bytes) -> None:
    """Write `data` to a file of procfs, whole, by one system call.

    procfs takes what one call brings as one value, so it is never split.

    Raises: OSError: as `open_file`; EINVAL and others, the file refuses the value; EIO, it took
        only part of it.
    """
    content = os.fsencode(data)
    with Fd(open_file(proc_fd, relative, os.O_WRONLY)) as file:
        try:
            written = os.write(file.fileno(), content)
        except OSError as error:
            raise failure("write", relative, error.errno) from None
    if written != len(content):
        raise failure("write", relative, errno.EIO)


def read(proc_fd: SupportsIndex, relative: str | bytes) -> bytes:
    """Read a whole file of procfs."""
    with open(open_file(proc_fd, relative, os.O_RDONLY), "rb", buffering=0) as file:
        return file.readall()


def _require_procfs(fd: Fd, path: str | bytes) -> None:
    if magic(fd) != PROC_SUPER_MAGIC:
        raise failure("fstatfs", path, errno.EXDEV)
