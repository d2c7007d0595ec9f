"""The run directory of a container: its pipes and its lock, which a reboot may lose.

Whoever makes, starts or removes a container holds the lock from before anything of it exists until
everything is done; a monitor shares the descriptor and holds it until it ends. So a run directory
without a holder was left by a crash, and says that something may be half done.

It is removed by a holder only. Somebody else may take it up at this very moment: whoever got the
lock of a file that is not there any more tries again, and who finds the directory taken up leaves
it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from onggi.errors import Conflict

LOCK = "monitor"
DOOR = "attach"  # a socket: see door.py
PAUSED = "paused"  # is there from before its processes are held until they go on again

# How long a lock may be held by who only looks whether something is left to be put right.
_PATIENCE_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.002
_MODE = 0o700


def lock(path: str, *, patience: float = _PATIENCE_SECONDS) -> int:
    """Make the run directory `path` and take its lock.

    Args: patience: seconds to wait for whoever holds it.

    Returns: a descriptor the caller owns.
    Raises: Conflict: another process has it.
    """
    deadline = time.monotonic() + patience
    while True:
        fd = _open(path)
        if fd >= 0 and _take(fd, fcntl.LOCK_EX):
            if _is_at(fd, path):
                return fd
            os.close(fd)  # who had it has removed it: make another
            continue
        if fd >= 0:
            os.close(fd)
        if time.monotonic() >= deadline and fd >= 0:
            raise Conflict("the container is running or being started already")
        time.sleep(_LOOK_AGAIN_SECONDS)


def is_held(path: str) -> bool:
    """Tell whether a process looks after the run directory `path`; nothing is made."""
    try:
        fd = os.open(f"{path}/{LOCK}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _take(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def wait_free(path: str) -> None:
    """Wait until nobody holds the lock of the run directory `path`, or it is gone."""
    try:
        fd = os.open(f"{path}/{LOCK}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def remove(path: str) -> None:
    """Remove a run directory whose lock is ours; gone already is fine.

    No descriptor is needed for it: it is also how one cleans up when there are none left.
    """
    from onggi.runtime.stdio import NAMES  # here, since most only look whether it is held

    for name in (*NAMES, DOOR, PAUSED, LOCK):  # the lock last: without it, it is nobody's
        try:
            os.unlink(f"{path}/{name}")
        except FileNotFoundError:
            continue
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:  # taken up by another process, who will remove it
            raise


def _open(path: str) -> int:
    """Open the lock's file; -1 if the directory was removed meanwhile."""
    try:
        os.makedirs(path, _MODE)
    except FileExistsError:
        pass  # or was there just now: makedirs(exist_ok=True) fails if it is not any more
    try:
        return os.open(f"{path}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return -1


def _take(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: str) -> bool:
    """Tell whether the open file is the lock that others would find."""
    try:
        found = os.stat(f"{path}/{LOCK}", follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(fd))
