"""Waiting for changes in a directory. Source: inotify(7)."""

from __future__ import annotations

import os

from onggi.linux._abi import bind, c_char_p, c_int, c_uint, check, path_bytes
from onggi.linux.fd import Fd

_NONBLOCK, _CLOEXEC = 0o4000, 0o2000000  # IN_NONBLOCK and IN_CLOEXEC are O_ of the same name

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
_CHANGED = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF
_ROOM_BYTES = 64 * 1024

_inotify_init1 = bind("inotify_init1", c_int)
_inotify_add_watch = bind("inotify_add_watch", c_int, c_char_p, c_uint)


class Watch:
    """What happens in one directory from now on; nothing of what lies deeper.

    Two things happening may be told as one, and one that was seen to have happened may still be
    told of: whoever is woken looks again.
    """

    __slots__ = ("_fd",)

    def __init__(self, path: str | bytes) -> None:
        """Begin to watch the directory at `path`.

        Raises: OSError: EMFILE, the user watches in as many processes as may be; ENOSPC, the same
            of directories; ENOENT. Source: inotify(7), "/proc interfaces".
        """
        self._fd = Fd(check(_inotify_init1(_NONBLOCK | _CLOEXEC), "inotify_init1"))
        try:
            added = _inotify_add_watch(self._fd, path_bytes(path), _CHANGED)
            check(added, "inotify_add_watch", path)
        except BaseException:
            self.close()
            raise

    def wait(self, seconds: float) -> bool:
        """Wait until something has happened since the last time; tell whether it has.

        Args: seconds: how long at most.
        """
        import select  # here: what this package's modules bring with them is kept small

        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return False
        os.read(self._fd.fileno(), _ROOM_BYTES)  # what it was does not matter
        return True

    def close(self) -> None:
        """Watch no longer; twice is fine."""
        self._fd.close()
