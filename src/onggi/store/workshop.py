"""Where a process keeps what it has half made: `tmp/<token>/`, locked as long as it lives.

A thing is built here and then renamed to its place, so its place never holds half of it. The lock
is on the directory itself: whoever can take it knows that the owner is dead, whatever pid the
owner had in whatever pid namespace, and may sweep the directory away.
"""

from __future__ import annotations

import os

from onggi.store import trees
from onggi.store.atomic import unused_name
from onggi.store.locks import try_directory


class Workshop:
    """The half-made things of one process; made at first use.

    A forked child gets one of its own. Threads may share it: every name in it is used once.
    """

    __slots__ = ("_opened", "_tmp")

    def __init__(self, tmp: str) -> None:
        self._tmp = tmp
        # pid -> (path, descriptor that holds its lock): a forked child must not use its parent's
        self._opened: dict[int, tuple[str, int]] = {}

    @property
    def path(self) -> str:
        """The directory, which exists and is locked."""
        opened = self._opened.get(os.getpid())
        return opened[0] if opened else self._open()

    @property
    def token(self) -> str:
        """What others may record to find out later whether this process still lives."""
        return os.path.basename(self.path)

    def new_name(self) -> str:
        """Return a path in the workshop that does not exist."""
        return unused_name(self.path)

    def new_directory(self, mode: int = 0o700) -> str:
        """Make an empty directory in the workshop."""
        path = self.new_name()
        os.mkdir(path, mode)
        return path

    def remove(self, path: str) -> None:
        """Remove one of the half-made things, if it is still here."""
        trees.remove(path)

    def close(self) -> None:
        """Remove the directory; using the workshop again makes a new one."""
        opened = self._opened.pop(os.getpid(), None)
        if opened:
            path, fd = opened
            trees.remove(path)
            os.close(fd)

    def _open(self) -> str:
        ours = _make_locked(self._tmp)
        kept = self._opened.setdefault(os.getpid(), ours)
        if kept is not ours:  # another thread was faster
            trees.remove(ours[0])
            os.close(ours[1])
        return kept[0]


def _make_locked(tmp: str) -> tuple[str, int]:
    """Make a workshop and lock it; a sweeper may come between the two, so try again."""
    while True:
        path = f"{tmp}/{os.urandom(6).hex()}"
        os.mkdir(path, 0o700)
        fd = try_directory(path)
        if fd is not None:
            return path, fd


def sweep(tmp: str) -> int:
    """Remove the workshops of the dead; return how many there were."""
    swept = 0
    for token in os.listdir(tmp):
        path = f"{tmp}/{token}"
        fd = try_directory(path)
        if fd is not None:
            trees.remove(path)
            os.close(fd)
            swept += 1
    return swept


def is_live(tmp: str, token: str) -> bool:
    """Tell whether the process that has this workshop still lives."""
    fd = try_directory(f"{tmp}/{token}")
    if fd is None:
        return os.path.lexists(f"{tmp}/{token}")
    os.close(fd)
    return False
