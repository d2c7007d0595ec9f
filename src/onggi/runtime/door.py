"""The door of a monitor: a socket in the run directory, at which others attach later.

Only the owner of the store gets there: the run directory is nobody else's. A monitor that follows
a killed one puts up a door of its own in the old one's place.
"""

from __future__ import annotations

import os

from onggi.linux import channel
from onggi.runtime.rundir import DOOR

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def make(run_directory: str) -> int:
    """Put up the door; return its descriptor, which the caller owns, and which does not block."""
    directory = os.open(run_directory, _DIRECTORY)
    try:
        # By the descriptor, as a socket's path has room for 107 bytes only.
        path = f"/proc/self/fd/{directory}/{DOOR}"
        try:
            os.unlink(path)  # of a monitor that was killed
        except FileNotFoundError:
            pass  # most often there was none
        fd = channel.listen(path)
    finally:
        os.close(directory)
    os.set_blocking(fd, False)
    return fd


def enter(run_directory: str) -> int:
    """Attach to the monitor behind the door; return our end of the channel, which we own.

    Raises: FileNotFoundError: there is none, the container has ended; ConnectionRefusedError:
        whoever was behind it was killed.
    """
    directory = os.open(run_directory, _DIRECTORY)
    try:
        return channel.connect(f"/proc/self/fd/{directory}/{DOOR}")
    finally:
        os.close(directory)
