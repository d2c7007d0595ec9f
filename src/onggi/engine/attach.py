"""Staying with a program that was started: its input, its output, and how it ended.

One thread, one poll: bytes go between the caller's descriptors and the program's monitor. Whoever
wants them elsewhere passes a pipe.
"""

from __future__ import annotations

import errno
import os
import select

from onggi.engine.options import Exit, Streams
from onggi.errors import Internal
from onggi.runtime import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.containers import Container
    from onggi.runtime.session import Session as Channel


class Session:
    """A container that was started, and the streams that it is attached to, if any."""

    __slots__ = ("_channel", "_streams", "_unsent", "container")

    def __init__(self, container: Container, channel: Channel, streams: Streams | None) -> None:
        self.container = container
        self._channel = channel
        self._streams = streams or Streams()
        self._unsent = b""

    def wait(self) -> Exit:
        """Pass bytes on until the program has ended and everything of it is cleaned up."""
        poller = select.poll()
        poller.register(self._channel.fd, select.POLLIN)
        if self._streams.stdin_fd >= 0:
            poller.register(self._streams.stdin_fd, select.POLLIN)
        while True:
            for fd, events in poller.poll():
                if fd != self._channel.fd:
                    self._take_input(poller)
                    continue
                if events & select.POLLOUT:
                    self._pass_input(poller)
                if events & ~select.POLLOUT and not self._pass_output():
                    return self._ended()

    def _pass_output(self) -> bool:
        received = self._channel.receive()
        if received is None:
            return False
        kind, data = received
        target = self._streams.stderr_fd if kind == frames.ERROR else self._streams.stdout_fd
        if target >= 0:
            write_all(target, data)
        return True

    def _take_input(self, poller: select.poll) -> None:
        """Read input once; no more of it until the monitor can take this.

        Waiting in the sending itself would be for ever with a program that writes more than it
        reads: it waits for us to take its output.
        """
        self._unsent = read_some(self._streams.stdin_fd, frames.MOST_BYTES)
        poller.unregister(self._streams.stdin_fd)
        poller.modify(self._channel.fd, select.POLLIN | select.POLLOUT)

    def _pass_input(self, poller: select.poll) -> None:
        poller.modify(self._channel.fd, select.POLLIN)
        try:
            self._channel.send_input(self._unsent) if self._unsent else self._channel.end_input()
        except BrokenPipeError:
            return  # the program has ended; the channel tells how
        if self._unsent:
            poller.register(self._streams.stdin_fd, select.POLLIN)

    def _ended(self) -> Exit:
        self._channel.close()
        if self._channel.final is None:
            raise Internal(
                "the monitor of the container was killed",
                hint=f"the container goes on: onggi wait {self.container.id[:12]}",
            )
        return Exit.of(self._channel.final)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program's terminal its size."""
        self._channel.resize(rows, columns)

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self.container.kill(number)

    def detach(self) -> None:
        """Let the program go on by itself."""
        self._channel.close()


def read_some(fd: int, most: int) -> bytes:
    """Read what is there, or b"" at the end, which a terminal has where its other end is gone."""
    try:
        return os.read(fd, most)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


def write_all(fd: int, data: bytes) -> None:
    """Write everything, waiting where `fd` is one that does not block and takes no more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
