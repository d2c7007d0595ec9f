"""Those who are attached to a monitor: each hears what the container says, or only how it ends.

Messages to one wait here while it is slow. While one of them is far behind nothing more is read of
what the container writes, so that the writer waits as it would on a pipe.
"""

from __future__ import annotations

import os
import select

from onggi.runtime import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_PENDING = 8 * frames.MOST_BYTES


class Client:
    """Whoever is attached: it may be slow, and it may go any time.

    hears: whether it gets the output, too, and what it says is the program's input.
    """

    __slots__ = ("fd", "hears", "pending", "size")

    def __init__(self, fd: int, *, hears: bool) -> None:
        self.fd = fd  # -1: no more
        self.hears = hears
        self.pending: list[bytes] = []
        self.size = 0
        os.set_blocking(fd, False)

    def send(self, message: bytes) -> None:
        """Send `message` now or as soon as it can be taken."""
        if self.fd >= 0:
            self.pending.append(message)
            self.size += len(message)
            self.flush()

    def flush(self) -> None:
        """Send what can be taken now."""
        while self.pending and self.fd >= 0:
            try:
                os.write(self.fd, self.pending[0])
            except BlockingIOError:
                return
            except OSError:
                self.close()  # it went away; the container does not care
                return
            self.size -= len(self.pending.pop(0))

    def is_behind(self) -> bool:
        """Tell whether no more should be read for it."""
        return self.size >= _MOST_PENDING

    def close(self) -> None:
        """Let it go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.pending.clear()
        self.size = 0


def say_last(clients: Iterable[Client], message: bytes) -> None:
    """Send everybody a last message and let them go, the quick ones first."""
    left = list(clients)
    for client in left:
        client.send(message)
    while left := [client for client in left if client.size]:
        poller = select.poll()
        for client in left:
            poller.register(client.fd, select.POLLOUT)
        poller.poll()
        for client in left:
            client.flush()
    for client in clients:
        client.close()
