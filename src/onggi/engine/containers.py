"""The containers of an engine."""

from __future__ import annotations

import os

from onggi.engine.container import Container
from onggi.errors import Conflict, NotFound
from onggi.runtime.state import RUNNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.attach import Session
    from onggi.engine.engine import Engine
    from onggi.engine.options import ContainerOptions, Streams

    # Named here, because `list` is a method of Containers.
    Filters = dict[str, list[str]]

__all__ = ["Container", "Containers"]


class Containers:
    """Make, find and list containers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, options: ContainerOptions) -> Container:
        """Make a container, and do not start it."""
        from onggi.engine import creation

        container, lock_fd = self._make(options)
        creation.release(self._engine.store, container.id, lock_fd)
        return container

    def run(self, options: ContainerOptions, *, streams: Streams | None = None) -> Session:
        """Make a container and start it.

        `wait` on the result returns how the program ended, and until then passes bytes on between
        it and `streams`; without those its output is in its log alone. To let go of the result
        ends nothing.

        Raises: ImageNotFound, InvalidInput, NameTaken; StartFailed: the container was made and
            could not be started; it stays, unless it was to be removed when it ends.
        """
        container, lock_fd = self._make(options)
        session = container.start_locked(lock_fd, streams)
        if streams is None and options.interactive and not options.detach:
            session.end_input()  # nobody is there to say anything
        return session

    def get(self, name: str) -> Container:
        """Return the container of this name, ID or beginning of an ID.

        Raises: ContainerNotFound; InvalidInput: several IDs begin so.
        """
        self._engine.recover()
        return self._load(self._engine.store.containers.resolve(name))

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002  the word that callers expect
        filters: dict[str, list[str]] | None = None,
    ) -> list[Container]:
        """Return the containers that run, or `all`; of those, the ones that `filters` let pass.

        Filters are Docker's: see filtering.container_filter.
        """
        self._engine.recover()
        found = (Container(self._engine, one) for one in self._engine.store.containers.list())
        listed = [one for one in found if all or one.state.status == RUNNING]
        if filters:
            from onggi.engine import filtering  # here, because a plain listing needs no `re`

            passes = filtering.container_filter(filters, self._engine)
            listed = [one for one in listed if passes(one)]
        return sorted(listed, key=lambda one: one.record["created_ns"], reverse=True)

    def prune(self, filters: Filters | None = None) -> dict[str, int]:
        """Remove the containers that do not run; return the bytes that each had written.

        Args: filters: see filtering.prunable_container.
        """
        from onggi.engine import filtering

        passes = filtering.prunable_container(filters or {})
        removed = {}
        for one in self.list(all=True):
            if one.status not in ("created", "exited") or not passes(one):
                continue
            size = one.size()
            try:
                one.remove()
            except (Conflict, NotFound):
                continue  # it was started just now, or somebody else removed it
            removed[one.id] = size
        return removed

    def _make(self, options: ContainerOptions) -> tuple[Container, int]:
        """Make a container, and return it with its lock, which is the caller's."""
        from onggi.engine import creation

        lock_fd = -1
        try:
            identifier, lock_fd = creation.create(self._engine.store, options, self._engine.host)
            return self._load(identifier), lock_fd
        except BaseException:
            if lock_fd >= 0:
                os.close(lock_fd)
            self._engine.recover_again()
            raise

    def _load(self, identifier: str) -> Container:
        return Container(self._engine, self._engine.store.containers.load(identifier))
