"""The host and the store as a whole: what there is, what is used, and the end of everything."""

from __future__ import annotations

import os

from onggi.engine import host_facts, ids
from onggi.errors import Conflict, InvalidInput
from onggi.linux import cgroup, user_namespace
from onggi.resources import layout
from onggi.store.atomic import is_unused_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.engine import Engine
    from onggi.store.store import Store

# What a store keeps; the index first, which says what images there are.
_CONTENTS = (
    *("index.json", "blobs", "cache", "containers", "empty", "explained", "l", "layers", "names"),
    *("oci-layout", "places", "repairs", "volumes"),
)
_PLACES = (*_CONTENTS, "locks", "run", "tmp", "schema")

_ID_DIGITS = 64


class System:
    """What concerns no single container, image or volume."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def version(self) -> dict[str, Any]:
        """Return what runs here (Docker Engine API, SystemVersion)."""
        return host_facts.versions()

    def info(self) -> dict[str, Any]:
        """Return what this host offers and what is in use (Docker Engine API, SystemInfo)."""
        root = self._engine.store.root
        return {**self._counts(), "DockerRootDir": root, **host_facts.facts()}

    def _counts(self) -> dict[str, int]:
        containers = self._engine.containers.list(all=True)
        statuses = [one.status for one in containers]
        running, paused = statuses.count("running"), statuses.count("paused")
        return {
            "Containers": len(containers),
            "ContainersRunning": running,
            "ContainersPaused": paused,
            "ContainersStopped": len(containers) - running - paused,
            "Images": len(self._engine.images.list()),
        }

    def df(self) -> dict[str, Any]:
        """Return what takes how much on the disk (Docker Engine API, SystemDataUsageResponse)."""
        from onggi.engine import disk

        return disk.usage(self._engine)

    def reset(self) -> None:
        """Kill every container and remove everything of this store; nothing else is touched.

        Raises: InvalidInput: the directory holds what no store would; it is left as it was.
        """
        store = self._engine.store
        leftovers = _require_store(store.root)
        for container in self._engine.containers.list(all=True):
            container.remove(force=True, volumes=True)
        if user_namespace.is_first():
            ids.forget(store)
        _take_away(store)
        self._engine.close()
        if not user_namespace.is_first():
            from onggi.engine.rootless import entry

            entry.end(store.run)
        _remove_runs(store.run)
        _remove_parents()
        from onggi.store.trees import remove

        # The schema last: until then it is a store, and can be reset again.
        for name in (*leftovers, *_PLACES):
            remove(f"{store.root}/{name}")
        _rmdir(store.root)


def _require_store(root: str) -> list[str]:
    """Refuse to remove what is not ours; return what is, beside the store's places."""
    others = sorted(set(os.listdir(root)) - set(_PLACES))
    strange = [name for name in others if not is_unused_name(name)]
    if strange:
        raise InvalidInput(
            f"{root} holds {strange[0]!r}, which is not Onggi's", hint="nothing was removed"
        )
    return others


def _take_away(store: Store) -> None:
    """Take everything from its place, so that nothing is ever found there half removed.

    Whoever opens the store after a reset was cut short makes the places anew, and sweeps these.
    """
    doomed = store.workshop.new_directory()
    for name in _CONTENTS:
        try:
            os.rename(f"{store.root}/{name}", f"{doomed}/{name}")
        except FileNotFoundError:
            continue  # made when it is needed


def _remove_runs(run: str) -> None:
    """Remove what a container that was being made may have left, and the shared root."""
    for name in os.listdir(run):
        path = f"{run}/{name}"
        if len(name) == _ID_DIGITS:
            raise Conflict(f"container {name[:12]} is being made right now", hint="try again")
        _rmdir(path) if os.path.isdir(path) else os.unlink(path)
    _rmdir(run)


def _remove_parents() -> None:
    """Remove the directories above the containers' cgroups, unless another store uses them."""
    paths = layout.cgroup_paths(layout.PARENT, "", cgroup.hierarchies(), cgroup.memberships())
    for _, path in paths:
        _rmdir(path)


def _rmdir(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        return  # in use by another store, or never there
