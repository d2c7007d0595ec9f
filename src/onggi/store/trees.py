"""Directory trees that somebody else wrote, and may be writing: removed, measured, copied.

Nothing here follows a symbolic link or walks a path twice: a directory is opened by name in its
open parent, or from the root with links forbidden, and its entries are reached through that.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Each level of nesting holds one descriptor; deeper trees are cut and removed in pieces.
_REMOVE_DEPTH = 64


def remove(path: str) -> None:
    """Remove a file or a whole tree; nothing happens if it does not exist.

    However deep the tree is, few descriptors are used. Mounts inside make it fail (EBUSY).
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        _remove_directory(path)


def _remove_directory(path: str) -> None:
    try:
        fd = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        while not _empty(fd, fd, 0):
            pass
    finally:
        os.close(fd)
    _ignoring_missing(os.rmdir, path)


def remove_entry(name: bytes, dir_fd: int) -> None:
    """Remove `name`, file or tree, from an open directory."""
    try:
        os.unlink(name, dir_fd=dir_fd)
    except (IsADirectoryError, PermissionError):
        fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
        try:
            while not _empty(fd, fd, 0):
                pass
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=dir_fd)


def _empty(top: int, fd: int, depth: int) -> bool:
    """Empty an open directory; False if pieces of it were moved up to `top` and remain there."""
    whole = True
    with os.scandir(fd) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                _ignoring_missing(os.unlink, entry.name, fd)
            elif depth == _REMOVE_DEPTH:
                os.rename(entry.name, os.urandom(8).hex(), src_dir_fd=fd, dst_dir_fd=top)
                whole = False
            else:
                whole = _remove_below(top, fd, entry.name, depth) and whole
    return whole


def _remove_below(top: int, parent: int, name: str, depth: int) -> bool:
    try:
        os.rmdir(name, dir_fd=parent)
        return True
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        whole = _empty(top, fd, depth + 1)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent)
    return whole


def _ignoring_missing(call: Callable[..., None], name: str, dir_fd: int | None = None) -> None:
    try:
        call(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return  # two sweepers, or an owner and a sweeper: either's success is both's


def size(path: str) -> int:
    """Add up the bytes of the files in a tree, each once however many links it has."""
    from onggi.store.merge import Stack

    sizes: dict[int, int] = {}
    with Stack([path]) as stack:
        for view in stack.walk():
            for found in view.entries():
                if stat.S_ISREG(found.status.st_mode):
                    sizes[found.status.st_ino] = found.status.st_size
    return sum(sizes.values())
