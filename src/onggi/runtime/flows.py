"""Bytes on their way between a caller's descriptors and a program, waiting for nobody.

Each direction is a flow of its own that holds one piece at most: while that is not taken no more is
read, so whoever writes waits as on a pipe. And since no flow waits inside a write, a caller that
says much before it listens gets through to a program that does both at once.
"""

from __future__ import annotations

import errno
import os
import select
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    class Flow(Protocol):
        """Something that is done piece by piece, when a descriptor is ready."""

        def wants(self) -> tuple[int, int] | None:
            """Return (descriptor, POLLIN or POLLOUT) to wait for; None when it is over."""

        def advance(self) -> None:
            """Do what can be done now."""


CHUNK = 64 * 1024  # what a pipe holds
_AT_ONCE = 8  # pieces that one flow may read before the others have their turn
_MOST_DRAINED = (1 << 20) // CHUNK + 1  # pieces: a pipe holds a mebibyte at most
_TROUBLE = select.POLLERR | select.POLLHUP | select.POLLNVAL  # reading or writing says what it is
_GONE = (errno.EPIPE, errno.EIO)  # how a pipe and a terminal say that nobody will ever read it
_TTYAUX_MAJOR = 5  # /dev/tty, /dev/console, /dev/ptmx: for whoever opens them something else


def turn(flows: Sequence[Flow], ended_fd: int = -1) -> bool:
    """Wait until something can be done, and do it; tell whether `ended_fd` is readable."""
    wishes = [(flow, wish) for flow in flows if (wish := flow.wants())]
    events = {} if ended_fd < 0 else {ended_fd: select.POLLIN}
    for _, (fd, event) in wishes:
        events[fd] = events.get(fd, 0) | event
    poller = select.poll()
    for fd, event in events.items():
        poller.register(fd, event)
    ready = dict(poller.poll())
    for flow, (fd, event) in wishes:
        if ready.get(fd, 0) & (event | _TROUBLE):
            flow.advance()
    return ended_fd in ready


class Input:
    """What the caller says, on its way to the program.

    `write` takes bytes and returns how many it took, without waiting; `end` says that there is no
    more. Either may raise BlockingIOError, and is then called again once `target_fd` is writable.
    """

    __slots__ = ("_end", "_held", "_is_over", "_source_fd", "_target_fd", "_write")

    def __init__(
        self,
        source_fd: int,
        target_fd: int,
        write: Callable[[bytes], int],
        end: Callable[[], None],
    ) -> None:
        self._source_fd = source_fd
        self._target_fd = target_fd
        self._write = write
        self._end = end
        self._held: bytes | None = None  # b"" is the end, which has to be passed on, too
        self._is_over = source_fd < 0

    def wants(self) -> tuple[int, int] | None:
        """Wait for the source, or with something in hand for the target."""
        if self._is_over:
            return None
        if self._held is None:
            return self._source_fd, select.POLLIN
        return self._target_fd, select.POLLOUT

    def advance(self) -> None:
        """Read a piece if there is none, and pass on what is taken of it."""
        try:
            if self._held is None:
                self._held = read_some(self._source_fd, CHUNK)
            self._pass_on(self._held)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._is_over = True

    def _pass_on(self, held: bytes) -> None:
        if held:
            self._held = held[self._write(held) :] or None
        else:
            self._end()
            self._is_over = True


class Output:
    """What comes out of a descriptor that does not block, on its way to a sink."""

    __slots__ = ("_allowance", "_sink", "_source_fd")

    def __init__(self, source_fd: int, sink: Sink) -> None:
        self._allowance = _MOST_DRAINED  # others may have the other end, and go on for ever
        self._source_fd = source_fd
        self._sink = sink

    def wants(self) -> tuple[int, int] | None:
        """Wait for the sink while it has something left, else for the source."""
        if self._sink.left:
            return self._sink.fd, select.POLLOUT
        return None if self._source_fd < 0 else (self._source_fd, select.POLLIN)

    def advance(self) -> None:
        """Pass on what is left, or read more."""
        if self._sink.left:
            self._sink.flush()
            return
        for _ in range(_AT_ONCE):
            if not self._read() or self._sink.left:
                return

    def _read(self) -> bool:
        """Pass on what there is; tell whether there was any."""
        if self._source_fd < 0:
            return False
        try:
            data = read_some(self._source_fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._source_fd = -1
        self._sink.put(data)
        return bool(data)

    def drain(self) -> bool:
        """Pass on what is there already, without waiting for more to come.

        Returns: whether the sink has something left; then it is to be called again.
        """
        while self._allowance and not self._sink.left:
            self._allowance -= 1
            if not self._read():
                break
        return bool(self._sink.left)


class Sink:
    """A descriptor of the caller's that output goes to; -1 is nowhere. It stays the caller's.

    Whether writing waits is a property of the open file, which the caller shares with others, so it
    must be left alone: a pipe or a terminal is opened once more for ourselves. What cannot be, is
    written in pieces that a descriptor which says it is writable takes whole.
    Source: pipe(7), "PIPE_BUF"; open(2), O_NONBLOCK; proc_pid_fd(5).
    """

    __slots__ = ("_most", "_own_fd", "fd", "left")

    def __init__(self, fd: int) -> None:
        self._own_fd, self._most = -1, CHUNK
        self.left = b""
        if fd >= 0 and _may_wait(fd):
            self._own_fd = _opened_again(fd)
            if self._own_fd < 0:
                self._most = select.PIPE_BUF
        self.fd = fd if self._own_fd < 0 else self._own_fd

    def put(self, data: bytes) -> None:
        """Take output; nothing may be left of what came before.

        Raises: BrokenPipeError: whoever read it has left; OSError: it cannot be written.
        """
        if self.fd >= 0:
            self.left = data
            self.flush()

    def flush(self) -> None:
        """Write what is taken now."""
        while self.left and (self._most == CHUNK or self._is_writable()):
            try:
                self.left = self.left[os.write(self.fd, self.left[: self._most]) :]
            except BlockingIOError:
                return

    def _is_writable(self) -> bool:
        poller = select.poll()
        poller.register(self.fd, select.POLLOUT)
        return bool(poller.poll(0))

    def close(self) -> None:
        """Close what was opened here; closing twice is fine."""
        if self._own_fd >= 0:
            os.close(self._own_fd)
        self.fd = self._own_fd = -1
        self.left = b""


def _may_wait(fd: int) -> bool:
    """Tell whether writing may wait for a reader, as it does not with files and /dev/null."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)


def _opened_again(fd: int) -> int:
    """Open the pipe or terminal of `fd` once more, so as not to block; -1 if that can't be."""
    found = os.fstat(fd)
    is_named_anew = os.isatty(fd) and os.major(found.st_rdev) == _TTYAUX_MAJOR
    if is_named_anew or stat.S_ISSOCK(found.st_mode):
        return -1
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        return -1  # no rights to it, no reader any more, a terminal that hung up


def read_some(fd: int, most: int) -> bytes:
    """Read what is there, or b"" at the end, which a terminal has where its other end is gone."""
    try:
        return os.read(fd, most)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""
