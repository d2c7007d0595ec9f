"""Where the contents of secrets lie while a command runs: in memory, below a directory of root's.

/dev/shm is everybody's, so no name there is believed. A place is used if the kernel says that it is
a tmpfs, and if nobody but root can take away what root puts there; a directory in it counts if it
was made by root for root alone; and all that happens in it happens through its descriptor, never by
a path that could have become another's. The directory is locked as long as its owner lives: what a
killed build leaves behind is removed by the next one.

Source: inode(7), "sticky bit"; tmpfs(5).
"""

from __future__ import annotations

import fcntl
import os
import stat

from onggi.errors import Unsupported
from onggi.linux.fd import Fd
from onggi.linux.filesystem import TMPFS_MAGIC, magic
from onggi.store.attributes import set_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "onggi-secrets-"
PLACES = ("/run", "/dev/shm")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE = 0o022


class SecretFiles:
    """Files in memory, each of which shows one secret to one command; made at first use."""

    __slots__ = ("_directory", "_name", "_parent", "_place", "_places")

    def __init__(self, places: Iterable[str] = PLACES) -> None:
        self._places = places
        self._place = ""  # of the directory, by path
        self._parent: Fd | None = None
        self._directory: Fd | None = None
        self._name = ""

    def write(self, data: bytes, *, mode: int, uid: int, gid: int) -> str:
        """Write a secret to a new file and return its path, which is good until `close`.

        Raises: Unsupported: no place is in memory and root's.
        """
        directory = self._open()
        name = os.urandom(8).hex()
        with Fd(os.open(name, _NEW_FILE, 0o600, dir_fd=directory.fileno())) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file.fileno(), rest) :]
            set_owner(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
        return f"{self._place}/{self._name}/{name}"

    def _open(self) -> Fd:
        if self._directory is None:
            self._place, self._parent = _memory(self._places)
            sweep(self._parent.fileno())
            self._name, self._directory = _make_locked(self._parent.fileno())
        return self._directory

    def close(self) -> None:
        """Remove all files; closing twice is fine."""
        directory, self._directory = self._directory, None
        parent, self._parent = self._parent, None
        if directory is not None and parent is not None:
            with parent, directory:
                _remove(parent.fileno(), self._name, directory.fileno())


def _memory(places: Iterable[str]) -> tuple[str, Fd]:
    """Open the first place whose files lie in memory, and stay where root puts them."""
    for place in places:
        try:
            parent = Fd(os.open(place, _DIRECTORY))
        except OSError:
            continue  # there is none, or it is a link: the next one will do
        if magic(parent.fileno()) == TMPFS_MAGIC and _keeps(os.fstat(parent.fileno())):
            return place, parent
        parent.close()
    named = " or ".join(places)
    raise Unsupported(
        f"secrets need memory to lie in: no tmpfs of root's at {named}", hint="mount one there"
    )


def _keeps(status: os.stat_result) -> bool:
    """Tell whether only root may rename or remove what root has in a directory."""
    return status.st_uid == 0 and not (
        status.st_mode & _OTHERS_WRITE and not status.st_mode & stat.S_ISVTX
    )


def _make_locked(parent: int) -> tuple[str, Fd]:
    """Make a directory and lock it; a sweeper may come between the two, so try again."""
    while True:
        name = f"{PREFIX}{os.urandom(8).hex()}"
        os.mkdir(name, 0o700, dir_fd=parent)
        directory = _locked(parent, name)
        if directory is not None:
            return name, directory


def _locked(parent: int, name: str) -> Fd | None:
    """Open and lock a directory of secrets; None if it is no such, is in use, or is gone."""
    try:
        directory = Fd(os.open(name, _DIRECTORY, dir_fd=parent))
    except OSError:
        return None  # a link, a file, or removed meanwhile
    if _is_secret(directory.fileno()) and _take(directory.fileno()):
        return directory
    directory.close()
    return None


def _is_secret(directory: int) -> bool:
    """Tell whether root made it for root alone, as everything of ours is made."""
    status = os.fstat(directory)
    return status.st_uid == 0 and stat.S_IMODE(status.st_mode) == 0o700


def _take(directory: int) -> bool:
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(directory).st_nlink > 0


def sweep(parent: int) -> None:
    """Remove the secrets of builds that were killed from an open directory.

    Only what root made for root alone is touched: the names are anybody's.
    """
    for name in os.listdir(parent):
        if not name.startswith(PREFIX):
            continue
        directory = _locked(parent, name)
        if directory is not None:
            with directory:
                _remove(parent, name, directory.fileno())


def _remove(parent: int, name: str, directory: int) -> None:
    for file in os.listdir(directory):
        os.unlink(file, dir_fd=directory)
    os.rmdir(name, dir_fd=parent)
