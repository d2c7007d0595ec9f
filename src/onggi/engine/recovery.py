"""Putting right what killed processes left behind.

Two kinds of thing can be left, and each is recognised by a lock that nobody holds any more:

* a container that says it runs, whose monitor was killed. If its first process lives, it gets a new
  monitor, which goes on where the old one stopped; otherwise its end is written down.
* a run directory whose holder was killed while the container was being made, started or cleaned up.
  What may exist is known from the record: cgroups, pipes; and with `--rm` the container itself.

Everything here may be done twice, and by several processes at once: the lock has one winner.
"""

from __future__ import annotations

import os

from onggi import startup
from onggi.engine import creation
from onggi.errors import Conflict
from onggi.linux import cgroup
from onggi.resources import layout
from onggi.runtime import launch, monitor, rundir, state
from onggi.runtime.order import Watch
from onggi.runtime.plan.cgroups import split_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.engine import Engine
    from onggi.runtime.state import State


def recover(engine: Engine) -> None:
    """Put right every container of the engine's store that needs it."""
    store = engine.store
    for identifier in set(store.containers.ids()) | set(_run_directories(store.run)):
        if _is_suspect(engine, identifier):
            _recover_one(engine, identifier)
    _sweep_snapshots(engine)


def _sweep_snapshots(engine: Engine) -> None:
    """Remove the writable layers of containers and builds that never came to be."""
    store = engine.store
    if set(os.listdir(f"{store.root}/containers")) - set(store.containers.ids()):
        from onggi.store.collect import sweep_snapshots

        sweep_snapshots(store)


def _run_directories(run: str) -> list[str]:
    return [name for name in os.listdir(run) if len(name) == 64]


def _is_suspect(engine: Engine, identifier: str) -> bool:
    """Tell cheaply whether something may be wrong: most containers are simply running or ended."""
    directory = creation.run_directory(engine.store, identifier)
    if os.path.exists(directory):
        return not _is_held(directory)
    # If it claims to run, its run directory went with a reboot.
    return state.read(engine.store.containers.path(identifier)).status == state.RUNNING


def _is_held(directory: str) -> bool:
    try:
        os.close(rundir.lock(directory))
    except Conflict:
        return True
    return False


def _recover_one(engine: Engine, identifier: str) -> None:
    store = engine.store
    directory = creation.run_directory(store, identifier)
    try:
        lock_fd = rundir.lock(directory)
    except Conflict:
        return  # somebody else is at it
    try:
        place = store.containers.path(identifier)
        current = state.read(place) if os.path.isdir(place) else state.State()
        if current.status == state.RUNNING and current.is_alive():
            _adopt(current, lock_fd)
        elif current.status == state.RUNNING:
            _conclude(current)
        else:
            _sweep(engine, identifier, directory)
    finally:
        os.close(lock_fd)


def _adopt(current: State, lock_fd: int) -> None:
    """Give a living container a new monitor, in a session of its own."""
    if os.fork():
        return
    try:
        launch.detach((lock_fd, lock_fd))
        os.set_inheritable(lock_fd, True)
        program, *words = startup.program("onggi.runtime.monitor")
        os.execv(program, [program, *words, "adopted", current.watch["directory"], str(lock_fd)])
    finally:
        os._exit(1)


def _conclude(current: State) -> None:
    """Write down the end of a container whose end nobody saw, and clean up after it."""
    watch = Watch(**current.watch)
    state.write(watch.directory, state.lost(current))
    monitor.clean_up(watch)


def _sweep(engine: Engine, identifier: str, directory: str) -> None:
    """Remove what a start or a clean-up that was cut short may have left."""
    from onggi.store.records import ContainerNotFound

    try:
        record = engine.store.containers.load(identifier)
    except ContainerNotFound:
        record = {}
    for path in reversed(_cgroups(identifier, record)):
        cgroup.clear(path)
    rundir.remove(directory)
    if record and record["options"]["remove"]:
        from onggi.engine.container import Container

        Container(engine, record).remove(force=True, volumes=True)


def _cgroups(identifier: str, record: dict[str, Any]) -> list[str]:
    """Return where the container's cgroups would lie."""
    asked = record.get("config", {}).get("linux", {}).get("cgroupsPath", "")
    parent, name = split_path(asked, identifier)
    paths = layout.cgroup_paths(parent, name, cgroup.hierarchies(), cgroup.memberships())
    return [path for _, path in paths]
