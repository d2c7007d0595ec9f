"""Locks between processes, held by open files, so that the kernel frees them when a holder dies.

flock(2) locks belong to the open file: two threads that each open the file exclude each other, and
a forked child shares its parent's lock until both have closed it.

Order, for whoever takes several: `collect`, then a layer's, then `names`, then a container's or
`index`; before them all the one that chooses IDs (engine/ids.py). Nothing waits for a lock to the
left of one it holds.

Source: flock(2).
"""

from __future__ import annotations

import os

from onggi.store.atomic import unlink_if_exists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Lock:
    """A lock named by a file, to be used in a `with` statement.

    `shared` lets others share it. `vanishing` removes the file afterwards, for names that would
    otherwise pile up. One object is for one holder at a time.
    """

    __slots__ = ("_fd", "_path", "_shared", "_vanishing")

    def __init__(self, path: str, *, shared: bool = False, vanishing: bool = False) -> None:
        self._path = path
        self._shared = shared
        self._vanishing = vanishing
        self._fd = -1

    def __enter__(self) -> Self:
        """Wait until the lock is ours."""
        self._fd = _lock_named(self._path, self._shared)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._vanishing:
            unlink_if_exists(self._path)
        os.close(self._fd)
        self._fd = -1


class DirectoryLock:
    """An exclusive lock on a directory itself, which needs no file of its own.

    `missing` is raised by `with` if the directory does not exist, or went away meanwhile.
    """

    __slots__ = ("_fd", "_missing", "_path")

    def __init__(self, path: str, missing: Exception) -> None:
        self._path = path
        self._missing = missing
        self._fd = -1

    def __enter__(self) -> Self:
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise self._missing from None
        try:
            _flock(self._fd, shared=False, wait=True)
            if not is_at(self._fd, self._path):
                raise self._missing
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)


def try_directory(path: str) -> int | None:
    """Lock a directory unless somebody holds it, or it is gone.

    Returns: a descriptor that holds the lock, the caller's to close; None otherwise.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if _flock(fd, shared=False, wait=False) and is_at(fd, path):
        return fd
    os.close(fd)
    return None


def is_at(fd: int, path: str) -> bool:
    """Tell whether `path` still names the open file."""
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(fd))


def _lock_named(path: str, shared: bool) -> int:
    """Open and lock; begin again if the file was removed by whom we waited for."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _flock(fd, shared=shared, wait=True)
            if os.fstat(fd).st_nlink:
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _flock(fd: int, *, shared: bool, wait: bool) -> bool:
    import fcntl

    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(fd, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
