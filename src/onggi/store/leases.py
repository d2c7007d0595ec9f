"""Leases: what is being built or used is named, so that the collector leaves it alone.

Loading an image writes its blobs one after another, and only then is there a reference that keeps
them. Between the two a lease does. Whatever a store publishes, or finds already there when asked
with `has`, while a lease is held, belongs to the lease. What it publishes outside any lease is kept
until the store is closed or its process dies: forgetting a lease wastes space, never data.

Each lease is a file of digests in the process's workshop, so leases end with their process. Names
are added, and things renamed into place, under a shared lock that the collector takes alone, for
the short time in which it looks and takes away.
"""

from __future__ import annotations

import os

from onggi.store.atomic import read_file, unlink_if_exists, write_all
from onggi.store.locks import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from onggi.store.workshop import Workshop

_PREFIX = "lease-"
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class Lease:
    """A promise of the collector to leave alone what is named; ends with the `with` statement."""

    __slots__ = ("_leases", "_path")

    def __init__(self, leases: Leases, path: str) -> None:
        self._leases = leases
        self._path = path

    def hold(self, *digests: str) -> None:
        """Protect these too, whether they exist yet or not."""
        with self._leases.publishing():
            _append(self._path, digests)

    def __enter__(self) -> Self:
        self._leases.active[self._path] = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._leases.active[self._path]
        unlink_if_exists(self._path)


class Leases:
    """The leases of one store object; threads share them."""

    __slots__ = ("_lock_path", "_workshop", "active")

    def __init__(self, workshop: Workshop, lock_path: str) -> None:
        self._workshop = workshop
        self._lock_path = lock_path
        self.active: dict[str, None] = {}

    def take(self) -> Lease:
        """Return a new lease, to be used in a `with` statement."""
        return Lease(self, f"{self._workshop.path}/{_PREFIX}{os.urandom(6).hex()}")

    def publishing(self) -> Lock:
        """Keep the collector out while something is named and put into its place."""
        return Lock(self._lock_path, shared=True)

    def collecting(self) -> Lock:
        """Keep everybody from publishing while the collector looks and takes away."""
        return Lock(self._lock_path)

    def published(self, digest: str) -> None:
        """Note what is about to be put into place. Call it within `publishing`."""
        paths = list(self.active) or [f"{self._workshop.path}/{_PREFIX}until-close"]
        for path in paths:
            _append(path, (digest,))

    def met(self, digest: str) -> None:
        """Note, if a lease is held, what was asked for and is going to be relied upon."""
        if self.active:
            with self.publishing():
                self.published(digest)


def held(tmp: str) -> set[str]:
    """Return every digest that a lease names. Call it within `collecting`."""
    digests: set[str] = set()
    for token in os.listdir(tmp):
        for name in _names(f"{tmp}/{token}"):
            digests.update(_lines(f"{tmp}/{token}/{name}"))
    return digests


def _append(path: str, digests: tuple[str, ...]) -> None:
    fd = os.open(path, _APPEND, 0o600)
    try:
        write_all(fd, "".join(f"{digest}\n" for digest in digests).encode())
    finally:
        os.close(fd)


def _names(workshop: str) -> list[str]:
    try:
        return [name for name in os.listdir(workshop) if name.startswith(_PREFIX)]
    except FileNotFoundError:
        return []


def _lines(path: str) -> list[str]:
    try:
        return read_file(path).decode().split()
    except FileNotFoundError:
        return []  # the lease ended since its name was read
