"""What ``RUN --mount=type=cache`` keeps from one build to the next.

    <root>/<digest of the id>/<n>/      one copy of the cache, locked as a directory
    <root>/<digest of the id>/<n>/data  what commands see

`shared`: everybody uses copy 0 at the same time. `locked`: the next waits. `private`: who finds a
copy in use takes the next one.
"""

from __future__ import annotations

import hashlib
import os

from onggi.linux.fd import Fd

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def take_cache(root: str, identity: str, sharing: str) -> tuple[str, bool, Fd]:
    """Find the cache of this name, or make it.

    Returns: the directory that commands see; whether it is new, so that it may be filled; a lock
        that the caller closes when the command has ended.
    """
    place = f"{root}/{hashlib.sha256(identity.encode()).hexdigest()}"
    number = 0
    while True:
        copy = f"{place}/{number}"
        os.makedirs(copy, 0o700, exist_ok=True)
        lock = _lock(copy, sharing)
        if lock is not None:
            return _data(copy, lock)
        number += 1


def _lock(copy: str, sharing: str) -> Fd | None:
    import fcntl

    lock = Fd(os.open(copy, _DIRECTORY))
    kinds = {
        "shared": fcntl.LOCK_SH,
        "locked": fcntl.LOCK_EX,
        "private": fcntl.LOCK_EX | fcntl.LOCK_NB,
    }
    try:
        fcntl.flock(lock.fileno(), kinds[sharing])
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _data(copy: str, lock: Fd) -> tuple[str, bool, Fd]:
    data = f"{copy}/data"
    try:
        os.mkdir(data, 0o700)
    except FileExistsError:
        return data, False, lock
    return data, True, lock
