"""A layer in the making: a snapshot that one step writes into."""

from __future__ import annotations

import os

from onggi.build.cache import StepResult
from onggi.build.rootfs import open_root
from onggi.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from onggi.linux.fd import Fd
    from onggi.oci.digest import Digest
    from onggi.oci.mount import Mount
    from onggi.store.store import Store


class NewLayer:
    """The layers `chain` with something to write on top; leaving the `with` block discards it.

    What a killed build leaves is swept with its workshop.
    """

    def __init__(self, store: Store, chain: Sequence[Digest]) -> None:
        self._store = store
        self._chain = chain
        self._key = f"build-{os.urandom(8).hex()}"
        self._root_before: tuple[int, int, int] = (0, 0, 0)

    def __enter__(self) -> Self:
        # What ends badly is thrown away, and commit syncs the whole: no fsync in it is of use.
        self._store.snapshots.prepare(self._key, self._chain, durable=False)
        self._root_before = self._root_attributes()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._store.snapshots.remove(self._key)
        except NotFound:
            return  # committed

    @property
    def upper(self) -> str:
        """The directory of what was written."""
        return self._store.snapshots.upper(self._key)

    def mounts(self) -> list[Mount]:
        """Return what to mount to see the root, writable."""
        return self._store.snapshots.mounts(self._key)

    def open(self) -> Fd:
        """Mount the root for this process alone; the caller closes it before anything else."""
        return open_root(self.mounts(), self._store.workshop)

    def commit(self, epoch: int | None) -> StepResult:
        """Make a layer of what was written, or none if nothing was.

        With an `epoch` no file in it is younger, and it is what the history says.
        """
        import time

        from onggi.image.moments import rfc3339

        created = rfc3339(time.time() if epoch is None else epoch)
        if self._is_empty():
            return StepResult(None, None, created)
        diff_id, layer = self._store.snapshots.commit(self._key, move=True, clamp_mtime=epoch)
        return StepResult(diff_id, layer, created)

    def _is_empty(self) -> bool:
        return not os.listdir(self.upper) and self._root_attributes() == self._root_before

    def _root_attributes(self) -> tuple[int, int, int]:
        status = os.stat(self.upper)
        return status.st_mode, status.st_uid, status.st_gid
