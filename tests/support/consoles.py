"""What an engine does for a container's terminal: it waits at a socket for the host's end of it."""

import os
import select
import socket
import time
from pathlib import Path

from support.patience import SLOWER


class listening:  # noqa: N801
    """A Unix socket that somebody connects to."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._path = path

    def __enter__(self) -> socket.socket:
        self._socket.bind(str(self._path))
        self._socket.listen(1)
        self._socket.settimeout(10 * SLOWER)
        return self._socket

    def __exit__(self, *_error: object) -> None:
        self._socket.close()
        self._path.unlink()


def received(server: socket.socket) -> int:
    """Return the descriptor that is sent to a socket."""
    connection, _ = server.accept()
    with connection:
        _, fds, _, _ = socket.recv_fds(connection, 1024, 1)
    return fds[0]


def drained(master: int, seconds: float = 10) -> str:
    """Read a terminal until nobody has its other end, and close it."""
    said = b""
    deadline = time.monotonic() + seconds * SLOWER
    try:
        while time.monotonic() < deadline and select.select([master], [], [], seconds)[0]:
            try:
                piece = os.read(master, 4096)
            except OSError:
                break
            said += piece
    finally:
        os.close(master)
    return said.decode()
