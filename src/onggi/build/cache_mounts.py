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
from onggi.store.locks import is_at, try_directory

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
        try:
            with Fd(os.open(copy, _DIRECTORY)) as lock:
                if not _locked(lock, sharing):
                    number += 1
                elif is_at(lock.fileno(), copy):
                    return _data(copy, Fd(lock.take()))
        except FileNotFoundError:
            continue  # pruned just now


def _locked(lock: Fd, sharing: str) -> bool:
    import fcntl

    kinds = {
        "shared": fcntl.LOCK_SH,
        "locked": fcntl.LOCK_EX,
        "private": fcntl.LOCK_EX | fcntl.LOCK_NB,
    }
    try:
        fcntl.flock(lock.fileno(), kinds[sharing])
    except BlockingIOError:
        return False
    return True


def _data(copy: str, lock: Fd) -> tuple[str, bool, Fd]:
    data = f"{copy}/data"
    try:
        os.mkdir(data, 0o700)
    except FileExistsError:
        return data, False, lock
    return data, True, lock


def take_unused(root: str, doomed: str) -> int:
    """Move every copy that no command uses into `doomed`, whose owner removes it.

    Returns: how many bytes they have.
    """
    from onggi.store.trees import size

    taken = 0
    for name in os.listdir(root) if os.path.isdir(root) else ():
        for number in os.listdir(f"{root}/{name}"):
            copy = f"{root}/{name}/{number}"
            lock = try_directory(copy)
            if lock is None:
                continue
            with Fd(lock):
                taken += size(copy)
                os.rename(copy, f"{doomed}/{name}-{number}")
    return taken
