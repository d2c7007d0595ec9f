"""Mounting: mount(2) and its kin, and the mount API by file descriptors (Linux 5.2).

Facts before policy:

- mount(2) reads at most one page of options and cuts off what is longer, without a word. We refuse.
- `MS_REMOUNT | MS_BIND` changes one mount's flags; without MS_BIND it changes the filesystem's.
- MS_NOSYMFOLLOW and MOUNT_ATTR_NOSYMFOLLOW say the same in different bits, as do most pairs here.
- A detached mount (from open_tree with OPEN_TREE_CLONE, or from fsmount) is undone when its last
  descriptor is closed, unless move_mount attached it: a failure half-way leaves nothing behind.
- A failed fsconfig leaves the kernel's explanation in the context, see `fscontext_log`.
"""

from __future__ import annotations

import errno
import os
import struct

from onggi.linux._abi import (
    bind,
    bind_syscall,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_ulong,
    check,
    failure,
    path_bytes,
    text_bytes,
    uninterrupted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

# mount(2) flags: <linux/mount.h>.
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256  # since Linux 5.10
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 32768
MS_POSIXACL = 1 << 16
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_I_VERSION = 1 << 23
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25

# umount2(2) flags.
MNT_FORCE = 1
MNT_DETACH = 2
MNT_EXPIRE = 4
UMOUNT_NOFOLLOW = 8

# *at(2) flags that the mount API takes: <linux/fcntl.h>.
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC

MOVE_MOUNT_F_SYMLINKS = 0x1
MOVE_MOUNT_F_AUTOMOUNTS = 0x2
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_SYMLINKS = 0x10
MOVE_MOUNT_T_AUTOMOUNTS = 0x20
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOVE_MOUNT_SET_GROUP = 0x100  # since Linux 5.15
MOVE_MOUNT_BENEATH = 0x200  # since Linux 6.5

FSOPEN_CLOEXEC = 1
FSPICK_CLOEXEC = 1
FSPICK_EMPTY_PATH = 8
FSMOUNT_CLOEXEC = 1

FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_BINARY = 2
FSCONFIG_SET_PATH = 3
FSCONFIG_SET_PATH_EMPTY = 4
FSCONFIG_SET_FD = 5
FSCONFIG_CMD_CREATE = 6
FSCONFIG_CMD_RECONFIGURE = 7
FSCONFIG_CMD_CREATE_EXCL = 8  # since Linux 6.6

# fsmount(2) and mount_setattr(2) attributes.
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70  # a field of three bits: clear it whole before setting another value
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000  # mount_setattr only; since Linux 5.12
MOUNT_ATTR_NOSYMFOLLOW = 0x200000  # since Linux 5.14

# struct mount_attr { __u64 attr_set, attr_clr, propagation, userns_fd; }, MOUNT_ATTR_SIZE_VER0.
MOUNT_ATTR = struct.Struct("=QQQQ")

_mount = bind("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = bind("umount2", c_char_p, c_int)
_pivot_root = bind_syscall("pivot_root", c_char_p, c_char_p)
_open_tree = bind_syscall("open_tree", c_int, c_char_p, c_uint)
_move_mount = bind_syscall("move_mount", c_int, c_char_p, c_int, c_char_p, c_uint)
_fsopen = bind_syscall("fsopen", c_char_p, c_uint)
_fspick = bind_syscall("fspick", c_int, c_char_p, c_uint)
_fsconfig = bind_syscall("fsconfig", c_int, c_uint, c_char_p, c_char_p, c_int)
_fsmount = bind_syscall("fsmount", c_int, c_uint, c_uint)
_mount_setattr = bind_syscall("mount_setattr", c_int, c_char_p, c_uint, c_char_p, c_size_t)


def _optional(text: str | bytes | None) -> bytes | None:
    return None if text is None else text_bytes(text)


def mount(
    source: str | bytes | None,
    target: str | bytes,
    fstype: str | bytes | None,
    flags: int = 0,
    data: str | bytes | None = None,
) -> None:
    """Attach a filesystem, bind a tree, or change a mount, as `flags` say.

    Raises: OSError: E2BIG, `data` does not fit into one page and would be cut off;
        ValueError: a string holds NUL.
    Source: mount(2); the kernel's fs/namespace.c, copy_mount_options.
    """
    options = _optional(data)
    if options is not None and len(options) >= os.sysconf("SC_PAGE_SIZE"):
        raise failure("mount", target, errno.E2BIG)
    kind, origin = _optional(fstype), _optional(source)
    check(_mount(origin, path_bytes(target), kind, flags, options), "mount", target)


def umount2(target: str | bytes, flags: int = 0) -> None:
    """Detach the mount at `target`.

    Raises: OSError: EINVAL, nothing is mounted there, or it is locked (it came from a more
        privileged mount namespace); EBUSY, it is in use and MNT_DETACH was not given.
    Source: umount2(2).
    """
    check(_umount2(path_bytes(target), flags), "umount2", target)


def pivot_root(new_root: str | bytes, put_old: str | bytes) -> None:
    """Make `new_root` the root mount and move the old one to `put_old`.

    `pivot_root(".", ".")` stacks the old root on the new one, from where it is then unmounted.
    new_root must be a mount point, not on the current root's mount, with a parent that is not
    shared. Changes the whole mount namespace: call it in a namespace of your own.

    Source: pivot_root(2), "pivot_root(".", ".")".
    """
    result = _pivot_root(path_bytes(new_root), path_bytes(put_old))
    check(result, "pivot_root", new_root)


def open_tree(dirfd: SupportsIndex, path: str | bytes, flags: int) -> int:
    """Open a mount, or with OPEN_TREE_CLONE a detached copy of it; always close-on-exec.

    Returns: a descriptor the caller owns; a copy is undone when it is closed unattached.
    Since: Linux 5.2, commit a07b20004793 ("vfs: syscall: Add open_tree(2) ...").
    Source: open_tree(2).
    """
    name = path_bytes(path)
    return uninterrupted(_open_tree, "open_tree", path, dirfd, name, flags | OPEN_TREE_CLOEXEC)


def move_mount(
    from_dirfd: SupportsIndex,
    from_path: str | bytes,
    to_dirfd: SupportsIndex,
    to_path: str | bytes,
    flags: int,
) -> None:
    """Attach a detached mount, or move an attached one.

    By descriptors alone (both paths empty, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
    no path is walked, so none can be changed underneath.

    Since: Linux 5.2, commit 2db154b3ea8e ("vfs: syscall: Add move_mount(2) ...").
    Source: move_mount(2).
    """
    source, target = path_bytes(from_path), path_bytes(to_path)
    result = _move_mount(from_dirfd, source, to_dirfd, target, flags)
    check(result, "move_mount", to_path or from_path or None)


def fsopen(fstype: str | bytes, flags: int = FSOPEN_CLOEXEC) -> int:
    """Open a context in which a new filesystem of type `fstype` is configured.

    Raises: OSError: ENODEV, the kernel has no such filesystem; EPERM, no CAP_SYS_ADMIN.
    Since: Linux 5.2, commit 24dcb3d90a1f ("vfs: syscall: Add fsopen() ...").
    Source: fsopen(2).
    """
    return check(_fsopen(text_bytes(fstype), flags), "fsopen", fstype)


def fspick(dirfd: SupportsIndex, path: str | bytes, flags: int = FSPICK_CLOEXEC) -> int:
    """Open a context in which the filesystem mounted at `path` is reconfigured.

    Since: Linux 5.2, commit cf3cba4a429b ("vfs: syscall: Add fspick() ...").
    Source: fspick(2).
    """
    return check(_fspick(dirfd, path_bytes(path), flags), "fspick", path)


def _configure(
    fd: SupportsIndex, command: int, key: str | bytes | None, value: bytes | None, aux: int
) -> None:
    result = _fsconfig(fd, command, _optional(key), value, aux)
    check(result, "fsconfig", key)


def fsconfig_flag(fd: SupportsIndex, key: str | bytes) -> None:
    """Set an option without a value, such as "ro". Source: fsconfig(2), FSCONFIG_SET_FLAG."""
    _configure(fd, FSCONFIG_SET_FLAG, key, None, 0)


def fsconfig_string(fd: SupportsIndex, key: str | bytes, value: str | bytes) -> None:
    """Set an option to a string; at most 255 bytes of it, else EINVAL.

    The limit is why an overlay's layers are added one by one ("lowerdir+", since Linux 6.7).

    Source: fsconfig(2), FSCONFIG_SET_STRING.
    """
    _configure(fd, FSCONFIG_SET_STRING, key, text_bytes(value), 0)


def fsconfig_create(fd: SupportsIndex) -> None:
    """Make the filesystem that the context describes. Source: fsconfig(2), FSCONFIG_CMD_CREATE."""
    _configure(fd, FSCONFIG_CMD_CREATE, None, None, 0)


def fsconfig_reconfigure(fd: SupportsIndex) -> None:
    """Apply the options to the picked filesystem. Source: fsconfig(2), FSCONFIG_CMD_RECONFIGURE."""
    _configure(fd, FSCONFIG_CMD_RECONFIGURE, None, None, 0)


def fsmount(fd: SupportsIndex, flags: int = FSMOUNT_CLOEXEC, attributes: int = 0) -> int:
    """Make a detached mount of the filesystem in context `fd`.

    Args: attributes: MOUNT_ATTR_* of the new mount, except MOUNT_ATTR_IDMAP.
    Returns: a descriptor the caller owns, like one from open_tree with OPEN_TREE_CLONE.
    Since: Linux 5.2, commit 93766fbd2696 ("vfs: syscall: Add fsmount() ...").
    Source: fsmount(2).
    """
    return check(_fsmount(fd, flags, attributes), "fsmount")


def mount_setattr(
    dirfd: SupportsIndex,
    path: str | bytes,
    flags: int,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: SupportsIndex = 0,
) -> None:
    """Change a mount's attributes, with AT_RECURSIVE those of all mounts below it too.

    All or nothing: if one mount of the tree can't be changed, none is.

    Args: propagation: one of MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, or 0 to keep it;
        userns_fd: read only if attr_set holds MOUNT_ATTR_IDMAP.
    Since: Linux 5.12, commit 2a1867219c7b ("fs: add mount_setattr()").
    Source: mount_setattr(2).
    """
    attributes = MOUNT_ATTR.pack(attr_set, attr_clr, propagation, userns_fd.__index__())
    result = _mount_setattr(dirfd, path_bytes(path), flags, attributes, MOUNT_ATTR.size)
    check(result, "mount_setattr", path or None)


def idmap(tree: SupportsIndex, userns_fd: SupportsIndex, *, deep: bool = False) -> None:
    """Let the detached mount `tree` show the owners that user namespace `userns_fd` gives them.

    Args: deep: and every mount below it.
    Raises: OSError: EINVAL, its filesystem can't, of which a note tells; tmpfs can since Linux
        6.3, ext4 and XFS always could, overlayfs can't.
    Source: mount_setattr(2), "ID-mapped mounts".
    """
    try:
        flags = AT_EMPTY_PATH | (AT_RECURSIVE if deep else 0)
        mount_setattr(tree, "", flags, attr_set=MOUNT_ATTR_IDMAP, userns_fd=userns_fd)
    except OSError as error:
        if error.errno == errno.EINVAL:
            error.add_note("this filesystem can't show other owners on this kernel")
        raise


def fscontext_log(fd: SupportsIndex) -> str:
    """Read what the kernel had to say in filesystem context `fd`, one line a message.

    Messages are read once: a second call returns only what came since. Each begins with
    "e " (error), "w " (warning) or "i " (information), which is kept off.

    Source: Documentation/filesystems/mount_api.rst, "The Filesystem Context Log".
    """
    messages = []
    while True:
        try:
            message = os.read(fd.__index__(), 4096)
        except OSError as error:
            if error.errno == errno.ENODATA:
                break
            raise
        messages.append(message.decode(errors="replace").rstrip("\n")[2:])
    return "\n".join(messages)
