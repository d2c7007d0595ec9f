"""The run directory of a container: its pipes and its lock, which a reboot may lose.

Whoever makes a container holds the lock from before the container can be seen until the monitor,
which shares the descriptor, has ended: a run directory without a holder was left by a crash.
"""

from __future__ import annotations

import fcntl
import os

from onggi.errors import Conflict

LOCK = "monitor"


def lock(path: str) -> int:
    """Make the run directory `path` and take its lock.

    Returns: a descriptor the caller owns.
    Raises: Conflict: another process has it.
    """
    os.makedirs(path, 0o700, exist_ok=True)
    fd = os.open(f"{path}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Conflict("the container is running or being started already") from None
    return fd


def remove(path: str) -> None:
    """Remove a run directory with what lies in it; gone already is fine."""
    try:
        for name in os.listdir(path):
            os.unlink(f"{path}/{name}")
        os.rmdir(path)
    except FileNotFoundError:
        pass  # another process cleaned up as well
