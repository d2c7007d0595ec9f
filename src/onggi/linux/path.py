"""Opening files so that the kernel, not the path's author, decides where a lookup may lead.

`Inside` is the security boundary between Onggi and a tree that an attacker wrote, or is writing at
this moment: an image's root filesystem, a volume, a build context. Facts that it rests on:

- With RESOLVE_IN_ROOT the kernel takes the descriptor's directory for "/" during the lookup:
  absolute paths and links begin there and ".." stops there. It cannot be raced: if something moves
  during a ".." the kernel answers EAGAIN, and the lookup is begun again.
- RESOLVE_NO_MAGICLINKS keeps out /proc/PID/{cwd,root,exe,fd/N}, which jump instead of being walked.
- mkdirat and mknodat never follow a link in the last component, so a directory is made by name in
  a parent that is already held open, then opened without following links at all.

Since: Linux 5.6, commit fddb5d430ad9 ("open: introduce openat2(2) syscall").
Source: openat2(2).
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from onggi.linux._abi import (
    bind_syscall,
    c_char_p,
    c_int,
    c_size_t,
    failure,
    path_bytes,
    uninterrupted,
)
from onggi.linux.fd import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import SupportsIndex

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_REMOVEDIR = 0x200
AT_EMPTY_PATH = 0x1000

O_PATH = os.O_PATH
O_DIRECTORY = os.O_DIRECTORY
O_NOFOLLOW = os.O_NOFOLLOW
O_CLOEXEC = os.O_CLOEXEC

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20  # since Linux 5.12

# struct open_how { __u64 flags, mode, resolve; }, OPEN_HOW_SIZE_VER0.
OPEN_HOW = struct.Struct("=QQQ")

_MAX_LINKS = 40  # as the kernel's MAXSYMLINKS
# Lookups begun again before a storm of renames counts as a failure: tenths of a second of them.
# With `..` in a path any rename anywhere disturbs one, and a neighbour may rename all the time.
_MAX_RACES = 10_000

_openat2 = bind_syscall("openat2", c_int, c_char_p, c_char_p, c_size_t)


def openat2(
    dirfd: SupportsIndex, path: str | bytes, flags: int, mode: int = 0, resolve: int = 0
) -> int:
    """Open `path` relative to `dirfd` within the limits that `resolve` sets.

    Returns: a close-on-exec descriptor the caller owns.
    Raises: OSError: EXDEV, the path left what RESOLVE_BENEATH or RESOLVE_NO_XDEV allow;
        ELOOP, it met a link that is forbidden; EAGAIN, something moved during the lookup.
    Source: openat2(2).
    """
    how = OPEN_HOW.pack(flags | O_CLOEXEC, mode, resolve)
    name = path_bytes(path)
    return uninterrupted(_openat2, "openat2", path, dirfd, name, how, OPEN_HOW.size)


def is_regular(place: SupportsIndex) -> bool:
    """Tell whether a descriptor, O_PATH too, stands for a regular file."""
    return stat.S_ISREG(os.fstat(place.__index__()).st_mode)


def reopen(place: SupportsIndex, flags: int) -> int:
    """Open, with other flags, exactly what the O_PATH descriptor `place` stands for.

    To open a device is to use it: a watchdog begins to count, a tape is wound back. So what others
    made is first opened as a place only, looked at, and then opened again.

    Returns: a close-on-exec descriptor the caller owns.
    Source: open(2), "O_PATH"; proc(5), "/proc/pid/fd/".
    """
    return os.open(f"/proc/self/fd/{place.__index__()}", flags | O_CLOEXEC)


class Inside:
    """A directory as the root of every lookup, whoever wrote what lies below it.

    Links, wherever they stand in a path, are followed as a process that had chrooted into the
    directory would follow them. No path, link or race reaches anything that is not below the
    directory (or on a mount that is attached below it).

    The directory's descriptor is borrowed: it must stay open, and stays the caller's.
    """

    __slots__ = ("_root",)

    def __init__(self, root: SupportsIndex) -> None:
        self._root = root

    def open(self, path: str | bytes, flags: int, mode: int = 0) -> int:
        """Open `path`, absolute or relative, as seen from inside.

        With O_CREAT a link in the last place is followed too, inside; add O_NOFOLLOW to refuse.

        Returns: a close-on-exec descriptor the caller owns.
        Raises: OSError: as openat2; EAGAIN only after many lookups were disturbed.
        """
        resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
        for _ in range(_MAX_RACES):
            try:
                return openat2(self._root, path or b".", flags, mode, resolve)
            except BlockingIOError as error:
                if error.errno != errno.EAGAIN:
                    raise
        raise failure("openat2", path, errno.EAGAIN)

    def open_parent(self, path: str | bytes) -> tuple[int, bytes]:
        """Open the directory that holds `path`'s last component.

        Returns: (descriptor the caller owns, the last component); the component is a plain name,
            fit for calls that take a name in a directory and follow no link in it.
        Raises: OSError: EINVAL, the path names the root or ends in "..".
        """
        *parents, name = _components(path) or [b".."]
        if name == b"..":
            raise failure("openat2", path, errno.EINVAL)
        return self.open(b"/".join(parents), O_PATH | O_DIRECTORY), name

    def make_directories(self, path: str | bytes, mode: int = 0o755) -> int:
        """Open directory `path`, making it and its parents where they are missing.

        Links are followed inside, also those that lead to nothing yet: what they name is made,
        as runc does it. Directories that exist keep their mode; new ones get `mode` less umask.

        Returns: an O_PATH descriptor the caller owns.
        Raises: OSError: ENOTDIR, something else is in the way; ELOOP, links go round in a circle,
            or a link appeared where a directory had just been made.
        """
        try:
            return self.open(path, O_PATH | O_DIRECTORY)  # most often it is there
        except FileNotFoundError:
            parent, missing = self._settle(path)
        with Fd(parent) as start:
            return _make_each(start, missing, mode).take()

    def make_file(self, path: str | bytes, mode: int = 0o644) -> int:
        """Open file `path`, making it empty, and its parents, where they are missing.

        What exists is neither changed nor opened for more than its place, so a device, a socket
        or a fifo does no harm.

        Returns: an O_PATH descriptor the caller owns, fit as a target for a mount.
        Raises: OSError: EISDIR, a directory is there; else as `make_directories`.
        """
        parent, missing = self._settle(path)
        with Fd(parent) as start:
            if not missing:
                return _refuse_directory(start, path).take()
            with _make_each(start, missing[:-1], 0o755) as directory:
                made = _make(os.mknod, directory, missing[-1], stat.S_IFREG | mode, O_PATH)
                return _refuse_directory(made, path).take()

    def _settle(self, path: str | bytes) -> tuple[int, list[bytes]]:
        """Find the deepest place that exists, and the names still to be made below it."""
        pending = _components(path)
        for _ in range(_MAX_LINKS):
            number, missing = self._deepest(pending)
            with Fd(number) as place:
                link = _read_link(place, missing[0]) if missing else None
                if link is None:
                    return place.take(), missing
            existing = [] if link.startswith(b"/") else pending[: len(pending) - len(missing)]
            pending = existing + _components(link) + missing[1:]
        raise failure("openat2", path, errno.ELOOP)

    def _deepest(self, components: list[bytes]) -> tuple[int, list[bytes]]:
        """Open the longest beginning of `components` that exists; return the rest too."""
        for length in range(len(components), -1, -1):
            try:
                return self.open(b"/".join(components[:length]), O_PATH), components[length:]
            except FileNotFoundError:
                if length == 0:
                    raise
        raise AssertionError("unreachable: the empty path is the root")


def _components(path: str | bytes) -> list[bytes]:
    return [part for part in path_bytes(path).split(b"/") if part not in (b"", b".")]


def _read_link(directory: Fd, name: bytes) -> bytes | None:
    """Read link `name` if it is one: having failed to be followed, it leads to nothing."""
    try:
        return os.readlink(name, dir_fd=directory.fileno())
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL, errno.ENOTDIR):
            return None
        raise


def _make_each(start: Fd, names: list[bytes], mode: int) -> Fd:
    """Make the directories `names` one in another, from `start`, and open the last."""
    place = Fd(openat2(start, b".", O_PATH | O_DIRECTORY))
    for name in names:
        with place as parent:
            place = _make(os.mkdir, parent, name, mode, O_PATH | O_DIRECTORY)
    return place


def _make(make: Callable[..., None], parent: Fd, name: bytes, mode: int, flags: int) -> Fd:
    """Make `name` in `parent` unless it is there, and open it without following any link."""
    if name == b"..":  # above something that does not exist: nothing is there to go up from
        raise failure("openat2", name, errno.ENOENT)
    resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
    try:
        make(name, mode, dir_fd=parent.fileno())
    except FileExistsError:  # made by somebody else meanwhile: opening shows what it is
        return Fd(openat2(parent, name, flags, 0, resolve))
    return Fd(openat2(parent, name, flags, 0, resolve))


def _refuse_directory(place: Fd, path: str | bytes) -> Fd:
    if stat.S_ISDIR(os.fstat(place.fileno()).st_mode):
        place.close()
        raise failure("openat2", path, errno.EISDIR)
    return place
