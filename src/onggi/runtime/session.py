"""The other end of a monitor's channel: what a command or a program holds while it is attached."""

from __future__ import annotations

import os

from onggi.errors import Internal
from onggi.linux import channel
from onggi.oci import jsontext
from onggi.runtime import failure, frames, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.state import State


class Session:
    """An attachment to a container that was just started. Closing it detaches, no more."""

    __slots__ = ("fd", "final", "pid")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pid = 0
        self.final: State | None = None

    def wait_started(self) -> int:
        """Wait until the program runs, and return the PID of the container's first process.

        Raises: StartFailed: it could not be started.
        """
        message = channel.receive(self.fd)[0]
        if message[:1] == frames.STARTED:
            self.pid = int(message[1:])
            return self.pid
        raise failure.decode(message) or Internal("the monitor ended without a word")

    def receive(self) -> tuple[bytes, bytes] | None:
        """Wait for output: (frames.OUTPUT or frames.ERROR, data), or None at the end."""
        message = channel.receive(self.fd)[0]
        if not message:
            return None
        if message[:1] == frames.EXIT:
            self.final = state.State(**jsontext.loads(message[1:]))
            return None
        return message[:1], message[1:]

    def send_input(self, data: bytes) -> int:
        """Pass `data` on to the program's standard input; return how many bytes of it were taken.

        Raises: BlockingIOError: none are now, and the channel does not block.
        """
        piece = data[: frames.MOST_BYTES]
        channel.send(self.fd, frames.INPUT + piece)
        return len(piece)

    def end_input(self) -> None:
        """Say that standard input has ended."""
        channel.send(self.fd, frames.END)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the container's terminal its new size."""
        channel.send(self.fd, frames.SIZE + f"{rows} {columns}".encode())

    def close(self) -> None:
        """Detach."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
