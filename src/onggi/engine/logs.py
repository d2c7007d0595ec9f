"""Reading a container's log: the last lines, a span of time, and what is still to come.

The monitor appends to one file, renames it when it is full and begins another. So names mean
something else from one moment to the next, and a reader holds on to open files: it takes all of
them at one moment, and having come to the end of the last one looks which are younger by then.

Who follows waits for a change in the container's directory, where the log grows and its end is
written down. What changes nothing there, such as the death of a monitor, is seen by looking again
every so often.
"""

from __future__ import annotations

import errno
import os
import time

from onggi.engine import places
from onggi.linux import inotify
from onggi.runtime import log, rundir, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from onggi.engine.container import Container
    from onggi.engine.options import LogLine

_CHUNK = 64 * 1024
_SECOND = 1_000_000_000
_LOOK_AGAIN_SECONDS = 1.0
_UNWATCHED_SECONDS = 0.1
# The user watches as much as may be; the kernel has no inotify; the container was removed.
_UNWATCHABLE = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOSYS, errno.ENOENT)


def read(
    container: Container,
    *,
    follow: bool = False,
    tail: int | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Iterator[LogLine]:
    """Read a container's log; see Container.logs."""
    goes_on = _Goes(container, until) if follow else None
    try:
        for entry in log.entries(_lines(container.directory, tail, goes_on)):
            if _is_between(since, entry.time_ns, until):
                yield entry
    finally:
        if goes_on is not None:
            goes_on.close()


def _is_between(since: int | None, time_ns: int, until: int | None) -> bool:
    return (since is None or time_ns >= since) and (until is None or time_ns <= until)


class _Goes:
    """Tells whether more may come, and waits for it."""

    __slots__ = ("_container", "_until", "_watch")

    def __init__(self, container: Container, until: int | None) -> None:
        self._container = container
        self._until = until
        self._watch = _watch(container.directory)  # before the first look: what follows is told

    def on(self) -> bool:
        """Tell whether more may come; if not, what has been written so far is all."""
        if self._until is not None and time.time_ns() > self._until:
            return False
        current = self._container.state
        # A monitor writes the end of the log before it writes down the end of the container.
        if current.status != state.RUNNING:
            return False
        return current.is_alive() or self._is_looked_after()

    def _is_looked_after(self) -> bool:
        container = self._container
        return rundir.is_held(places.run_directory(container.store, container.id))

    def wait(self) -> None:
        """Wait until it may be worth looking again."""
        if self._watch is None:
            time.sleep(_UNWATCHED_SECONDS)
            return
        left = _LOOK_AGAIN_SECONDS
        if self._until is not None:
            left = min(left, max(self._until - time.time_ns(), 0) / _SECOND)
        self._watch.wait(left)

    def close(self) -> None:
        """Wait no more."""
        if self._watch is not None:
            self._watch.close()


def _watch(directory: str) -> inotify.Watch | None:
    """Watch the directory; None where nobody can or may, and looking often has to do."""
    try:
        return inotify.Watch(directory)
    except OSError as error:
        if error.errno in _UNWATCHABLE:
            return None
        raise


def _lines(directory: str, tail: int | None, goes: _Goes | None) -> Iterator[bytes]:
    """Yield raw lines from where the last `tail` lines begin."""
    held = _open_first(directory, goes)
    try:
        if tail is not None:
            _begin_at_tail(held, tail)
        while held:
            more = goes is not None and goes.on()
            yield from _rest(held[0])
            if len(held) == 1 and goes is not None:
                held += _open_younger(directory, held[0])
                yield from _rest(held[0])  # written before the younger one was begun
            if len(held) > 1 or not more:
                os.close(held.pop(0))
            elif goes is not None:
                goes.wait()
    finally:
        _close(held)


def _open_first(directory: str, goes: _Goes | None) -> list[int]:
    """Open the files that there are; a container that has just begun to run may have none yet."""
    while True:
        more = goes is not None and goes.on()
        held = _open_all(directory)
        if held or goes is None or not more:
            return held
        goes.wait()


def _open_all(directory: str) -> list[int]:
    """Open the log's files, oldest first, as they are at one moment.

    To rotate, the monitor renames the oldest first. So names are looked at again from the youngest
    on, and if the oldest, last of all, still means what was opened by it, no rotation has begun in
    between; and had one been going on, a name would mean something else now. No inode's number is
    given to another file while it is open.
    """
    while True:
        opened = [(path, _open(path)) for path in log.names(directory)]
        held = [fd for _, fd in opened if fd >= 0]
        if all(_means(path, fd) for path, fd in reversed(opened)):
            return held
        _close(held)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def _means(path: str, fd: int) -> bool:
    """Tell whether a name means the open file, or nothing where there was none."""
    try:
        number = os.stat(path).st_ino
    except FileNotFoundError:
        return fd < 0
    return fd >= 0 and number == os.fstat(fd).st_ino


def _open_younger(directory: str, fd: int) -> list[int]:
    """Open what was begun after the open file `fd`; if that is gone itself, all there is."""
    held = _open_all(directory)
    inodes = [os.fstat(one).st_ino for one in held]
    own = os.fstat(fd).st_ino
    known = inodes.index(own) + 1 if own in inodes else 0
    _close(held[:known])
    return held[known:]


def _close(held: list[int]) -> None:
    for fd in held:
        os.close(fd)


def _rest(fd: int) -> Iterator[bytes]:
    """Yield the whole lines from here on; the offset stays behind the last of them."""
    pending = b""
    while chunk := os.read(fd, _CHUNK):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    os.lseek(fd, -len(pending), os.SEEK_CUR)


def _begin_at_tail(held: list[int], tail: int) -> None:
    """Close the files before the last `tail` lines, and go to where those begin."""
    counted = _Tail(tail)
    for place in range(len(held) - 1, -1, -1):
        offset = counted.find(held[place])
        if offset is not None:
            os.lseek(held[place], offset, os.SEEK_SET)
            _close(held[:place])
            del held[:place]
            return


class _Tail:
    """Counts lines of output backwards, from the youngest file to the oldest."""

    __slots__ = ("_left", "_seen")

    def __init__(self, wanted: int) -> None:
        self._left = wanted
        self._seen: set[bytes] = set()  # streams of which something was met already

    def find(self, fd: int) -> int | None:
        """Return the offset where the last lines begin; None if more of them are in older files."""
        for offset, line in _backwards(fd):
            if self._ends_line(line):
                if not self._left:
                    return offset + len(line)
                self._left -= 1
        return None

    def _ends_line(self, line: bytes) -> bool:
        """Tell whether an entry is the last of its line: a whole one, or the stream's last."""
        parts = log.parse(line)
        if parts is None:
            return False
        _, stream, kind, _ = parts
        last = stream not in self._seen
        self._seen.add(stream)
        return kind == b"F" or last


def _backwards(fd: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) from the last whole line to the first."""
    start = os.fstat(fd).st_size
    held = b""  # the end of a line that begins before `start`
    while start:
        size = min(_CHUNK, start)
        start -= size
        held = os.pread(fd, size, start) + held
        head, newline, rest = held.partition(b"\n")
        if not start:
            yield from _lines_backwards(held, 0)
        elif newline:
            yield from _lines_backwards(rest, start + len(head) + 1)
            held = head + newline


def _lines_backwards(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of `data`, the last first; what follows the last newline is no line yet."""
    *lines, unfinished = data.split(b"\n")
    end = offset + len(data) - len(unfinished)
    for line in reversed(lines):
        end -= len(line) + 1
        yield end, line + b"\n"
