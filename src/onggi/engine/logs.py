"""Reading a container's log: the last lines, a span of time, and what is still to come.

The monitor appends to one file, renames it when it is full and begins another; so a reader that
has come to the end of a file goes on with the next younger one, whichever name it has by then.

Nothing here wakes the monitor or is woken by it: who follows looks again every so often.
"""

from __future__ import annotations

import os
import time

from onggi.engine import creation
from onggi.runtime import log, rundir, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from onggi.engine.container import Container
    from onggi.engine.options import LogLine

_CHUNK = 64 * 1024
_LOOK_AGAIN_SECONDS = 0.1


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
    for entry in log.entries(_lines(container.directory, tail, goes_on)):
        if (since is None or entry.time_ns >= since) and (until is None or entry.time_ns <= until):
            yield entry


class _Goes:
    """Tells whether more may come, and waits a little for it."""

    __slots__ = ("_container", "_until")

    def __init__(self, container: Container, until: int | None) -> None:
        self._container = container
        self._until = until

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
        import fcntl

        directory = creation.run_directory(self._container.store, self._container.id)
        try:
            fd = os.open(f"{directory}/{rundir.LOCK}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def wait(self) -> None:
        """Wait before looking again."""
        time.sleep(_LOOK_AGAIN_SECONDS)


def _lines(directory: str, tail: int | None, goes: _Goes | None) -> Iterator[bytes]:
    """Yield raw lines from where the last `tail` lines begin."""
    fd = _open_beginning(directory, tail)
    if fd < 0:
        return
    try:
        while True:
            more = goes is not None and goes.on()
            yield from _rest(fd)
            younger_fd = _open_younger(directory, fd)
            if younger_fd >= 0:
                yield from _rest(fd)  # written before the younger one was begun
                os.close(fd)
                fd = younger_fd
            elif goes is None or not more:
                return
            else:
                goes.wait()
    finally:
        os.close(fd)


def _rest(fd: int) -> Iterator[bytes]:
    """Yield the whole lines from here on; the offset stays behind the last of them."""
    pending = b""
    while chunk := os.read(fd, _CHUNK):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    os.lseek(fd, -len(pending), os.SEEK_CUR)


def _open_younger(directory: str, fd: int) -> int:
    """Open the file that was begun after the open one; -1 if there is none, or not yet."""
    path = _younger(directory, os.fstat(fd))
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else -1
    except FileNotFoundError:
        return -1  # renamed just now; to be found by its new name


def _younger(directory: str, own: os.stat_result) -> str:
    paths = log.files(directory)
    for place, path in enumerate(paths):
        if _is_file(path, own):
            return paths[place + 1] if place + 1 < len(paths) else ""
    return paths[0] if paths else ""  # the open one was the oldest, and is gone


def _is_file(path: str, own: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), own)
    except FileNotFoundError:
        return False


def _open_beginning(directory: str, tail: int | None) -> int:
    """Open the file where reading begins, at the offset where it does; -1 without a log."""
    while True:
        path, offset = _beginning(directory, tail)
        if not path:
            return -1
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # renamed just now
        os.lseek(fd, offset, os.SEEK_SET)
        return fd


def _beginning(directory: str, tail: int | None) -> tuple[str, int]:
    paths = log.files(directory)
    if not paths:
        return "", 0
    if tail is None:
        return paths[0], 0
    counted = _Tail(tail)
    for path in reversed(paths):
        offset = counted.find(path)
        if offset is not None:
            return path, offset
    return paths[0], 0


class _Tail:
    """Counts lines of output backwards, from the youngest file to the oldest."""

    __slots__ = ("_left", "_seen")

    def __init__(self, wanted: int) -> None:
        self._left = wanted
        self._seen: set[bytes] = set()  # streams of which something was met already

    def find(self, path: str) -> int | None:
        """Return the offset where the last lines begin; None if more of them are in older files."""
        with open(path, "rb", buffering=0) as file:
            for offset, line in _backwards(file.fileno()):
                if self._ends_line(line):
                    if not self._left:
                        return offset + len(line)
                    self._left -= 1
        return None

    def _ends_line(self, line: bytes) -> bool:
        """Tell whether an entry is the last of its line: a whole one, or the stream's last."""
        _, stream, kind, _ = line.split(b" ", 3)
        last = stream not in self._seen
        self._seen.add(stream)
        return kind == b"F" or last


def _backwards(fd: int) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) from the last whole line to the first."""
    start = os.lseek(fd, 0, os.SEEK_END)
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
