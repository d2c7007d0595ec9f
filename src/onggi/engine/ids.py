"""Which of the host's users and groups a container in a user namespace gets: a range of its own.

What a container is given is in its record, and nowhere else: whoever chooses a range reads the
records, under a lock that all stores of the host share, and writes its own before letting go. A
range is taken as long as its container exists, running or not, for its files bear those owners.

Other stores are known by links in `/run`, which a reboot loses; so the default store is always
looked at, and a store that chooses is linked anew. What any living process is mapped to is taken
as well, whoever made it: another engine, or a store that nobody knows of.

The lock is the outermost: it is taken before any of the store's own.

Source: subuid(5); moby pkg/idtools; systemd docs/UIDS-GIDS.md (524288 to 1879048191: containers).
"""

from __future__ import annotations

import os

from onggi.engine import subordinate
from onggi.engine.spec import MAPPED_IDS as COUNT
from onggi.errors import Conflict, Corrupt, InvalidInput, NotFound, Unavailable
from onggi.store.atomic import unlink_if_exists
from onggi.store.locks import DirectoryLock
from onggi.store.records import Records
from onggi.store.store import DEFAULT_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Any

    from onggi.store.store import Store

    Range = tuple[int, int]  # the first ID, and how many

STORES = "/run/onggi-ids"
_OWNERS = ("onggi", "containers")  # whose entry there counts; the second is Podman's
# Where there is no entry: above all that people use, and within what systemd leaves to containers.
_DEFAULT = (1 << 30, 8192 * COUNT)
_MOST_ID = (1 << 32) - 2  # the next one means "no ID"
_ATTEMPTS = 100


class NoneLeft(Unavailable):
    """Every range is some container's."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"no {COUNT} user and group IDs are left for another user namespace in {where}",
            hint="remove containers that were made with --userns=auto, or widen the range",
        )


class Choice:
    """A range that stays nobody else's while this is held, in a `with` statement.

    Before it is left, the container's record must say it. Two values: the host's first user ID and
    its first group ID.

    Raises: NoneLeft; InvalidInput: /etc/subuid or /etc/subgid make no sense.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock: DirectoryLock | None = None

    def __enter__(self) -> tuple[int, int]:
        self._lock = _locked(self._store.root)
        try:
            return free(self._store)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            self._lock.__exit__(kind, error, trace)


def free(store: Store) -> tuple[int, int]:
    """Return the host's first user ID and first group ID of a range that nobody has now."""
    taken = {"uid": list(_living("uid")), "gid": list(_living("gid"))}
    for config in _configurations(store):
        for kind, ranges in taken.items():
            ranges += _mapped(config.get("linux", {}).get(f"{kind}Mappings", ()))
    where, pools = pools_of_host()
    found = [
        first_free(pool, taken[kind]) for pool, kind in zip(pools, ("uid", "gid"), strict=True)
    ]
    if None in found:
        raise NoneLeft(where)
    return found[0] or 0, found[1] or 0


def first_free(pool: Iterable[Range], taken: Iterable[Range]) -> int | None:
    """Return where `COUNT` IDs of the pool begin that touch nothing taken; None if nowhere."""
    ordered = sorted(taken)
    for start, length in pool:
        place = start
        for begin, count in ordered:
            if place < begin + count and begin < place + COUNT:
                place = begin + count
        if place + COUNT <= start + length:
            return place
    return None


def pools_of_host(files: tuple[str, str] = subordinate.FILES) -> tuple[str, list[list[Range]]]:
    """Return where user and group IDs may be taken from, and the words that say so.

    Raises: InvalidInput: an entry in one file and none in the other, or the host's root in it.
    """
    entries = [subordinate.ranges(path) for path in files]
    for owner in _OWNERS:
        pools = [found.get(owner, []) for found in entries]
        if not any(pools):
            continue
        if not all(pools):
            lacking = files[0] if pools[1] else files[1]
            raise InvalidInput(
                f"{lacking} has no range for {owner!r}", hint=f"both {' and '.join(files)} need one"
            )
        _require_sane(owner, pools)
        return f"the ranges of {owner!r} in {' and '.join(files)}", pools
    start, count = _DEFAULT
    return f"{start} to {start + count - 1}", [[_DEFAULT], [_DEFAULT]]


def _require_sane(owner: str, pools: list[list[Range]]) -> None:
    for start, count in (one for pool in pools for one in pool):
        if start < 1 or start + count - 1 > _MOST_ID:
            raise InvalidInput(
                f"the range {start}:{count} of {owner!r} in /etc/subuid or /etc/subgid cannot be "
                "a container's",
                hint=f"1 to {_MOST_ID}",
            )


def _mapped(entries: Iterable[dict[str, Any]]) -> Iterator[Range]:
    for entry in entries:
        yield entry["hostID"], entry["size"]


def _living(kind: str) -> Iterator[Range]:
    """Yield what the user namespaces of the host's processes are mapped to, but for our own."""
    seen = {_namespace("self")}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            namespace = _namespace(pid)
            if namespace in seen:
                continue
            with open(f"/proc/{pid}/{kind}_map", encoding="ascii") as file:
                lines = file.read().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while it was looked at
        if lines and namespace:  # one that was made just now is not mapped yet
            seen.add(namespace)
        for line in lines:
            _, outside, count = map(int, line.split())
            if outside:  # a map of root, or of everybody, is no range of a container's
                yield outside, count


def _namespace(pid: str) -> str:
    """Return what names a process's user namespace; "" if one may not know, as with ptrace(2)."""
    try:
        return os.readlink(f"/proc/{pid}/ns/user")
    except PermissionError:
        return ""


def _configurations(store: Store) -> Iterator[dict[str, Any]]:
    """Yield the configuration of every container that is known of, of this and other stores."""
    for record in store.containers.list():
        yield record.get("config", {})
    for root in {DEFAULT_ROOT, *_known()} - {store.root}:
        if _is_roots_own(root):
            yield from _foreign(Records(root, store.workshop))


def _foreign(records: Records) -> Iterator[dict[str, Any]]:
    """Yield another store's configurations; what that cannot read itself does not stop this one."""
    try:
        identifiers = records.ids()
    except (FileNotFoundError, NotADirectoryError):
        return  # no store any more
    for identifier in identifiers:
        try:
            yield records.load(identifier).get("config", {})
        except (NotFound, Corrupt):
            continue


def _is_roots_own(root: str) -> bool:
    """Tell whether only root can have written there."""
    try:
        status = os.stat(root)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return status.st_uid == 0 and not status.st_mode & 0o022


def remember(store: Store) -> None:
    """Have other stores know this one, for a reboot may have let them forget."""
    _locked(store.root).__exit__(None, None, None)


def _locked(root: str) -> DirectoryLock:
    """Take the lock of all stores, with the one at `root` among those that are known."""
    for _ in range(_ATTEMPTS):
        os.makedirs(STORES, 0o700, exist_ok=True)
        lock = DirectoryLock(STORES, _gone())
        try:
            lock.__enter__()
        except Conflict:
            continue  # the last store that was known has just been removed
        try:
            _link(root)
        except BaseException:
            lock.__exit__(None, None, None)
            raise
        return lock
    raise _gone()


def _gone() -> Conflict:
    return Conflict(f"{STORES} is not there", hint="try again")


def _link(root: str) -> None:
    name = _name(root)
    try:
        os.symlink(root, name)
    except FileExistsError:
        if os.readlink(name) != root:  # of a store that is gone, whose inode is used again
            os.unlink(name)
            os.symlink(root, name)


def _name(root: str) -> str:
    status = os.stat(root)
    return f"{STORES}/{status.st_dev}-{status.st_ino}"


def _known() -> list[str]:
    try:
        return [os.readlink(f"{STORES}/{name}") for name in os.listdir(STORES)]
    except FileNotFoundError:
        return []


def forget(store: Store) -> None:
    """Take a store that is about to be removed from those that are known; twice is fine."""
    try:
        with DirectoryLock(STORES, _gone()):
            unlink_if_exists(_name(store.root))
            if not os.listdir(STORES):
                os.rmdir(STORES)
    except Conflict:
        return  # no store of this host has such a container
