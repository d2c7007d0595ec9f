"""Putting right what killed processes left behind.

A container's run directory is there while something is done with it, and its lock is held by who
does it (runtime/rundir.py). So what must be put right is recognised by a lock that nobody holds,
or, where a reboot took the run directories, by what the container says of itself:

* it says that it runs, and its monitor was killed. If its first process lives, it gets a new
  monitor, which goes on where the old one stopped; otherwise its end is written down.
* it was being made, started, cleaned up or removed. What may exist follows from its ID and its
  record: cgroups, pipes; and if it was to be removed, the container itself.
* it never came to have a record: its snapshot, its name and the volumes made for it go.

Everything here may be done twice, and by several processes at once: the lock has one winner.
"""

from __future__ import annotations

import errno
import os

from onggi.engine import places
from onggi.errors import Conflict, Corrupt, Internal
from onggi.linux import identity
from onggi.runtime import rundir, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.engine import Engine
    from onggi.runtime.state import State
    from onggi.store.store import Store

_ID_DIGITS = 64
_BOOT = "boot"  # beside the run directories: the boot that the last recovery saw

# A process that is just dying may have the lock for a moment: what was to become a container's
# first process ends as soon as it hears that its monitor is gone.
DYING_SECONDS = 5.0


def recover(engine: Engine) -> None:
    """Put right every container of the engine's store that needs it."""
    store = engine.store
    rebooted = _is_first_since_boot(store)
    for identifier in set(store.containers.ids()) | set(_run_directories(store.run)):
        if rebooted or _is_suspect(store, identifier):
            recover_one(engine, identifier)
    _sweep_unmade(store)
    if rebooted:
        _note_boot(store)


def recover_one(engine: Engine, identifier: str, *, patience: float = 0) -> None:
    """Put right one container, unless somebody else is at it for longer than `patience` seconds."""
    store = engine.store
    try:
        lock_fd = rundir.lock(places.run_directory(store, identifier), patience=patience)
    except Conflict:
        return
    try:
        _put_right(engine, identifier, lock_fd)
    finally:
        os.close(lock_fd)


def _run_directories(run: str) -> list[str]:
    return [name for name in os.listdir(run) if len(name) == _ID_DIGITS]


def _is_first_since_boot(store: Store) -> bool:
    try:
        with open(f"{store.run}/{_BOOT}", encoding="ascii") as file:
            return file.read() != identity.boot_id()
    except FileNotFoundError:
        return True


def _note_boot(store: Store) -> None:
    from onggi.store.atomic import write_file

    try:
        # Not synced: whether it is there matters in this boot only.
        write_file(f"{store.run}/{_BOOT}", identity.boot_id().encode(), durable=False)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # On a full disk one must be able to look what could be removed; the next will note it.


def _is_suspect(store: Store, identifier: str) -> bool:
    """Tell cheaply whether something may be wrong: most containers are simply running or ended."""
    directory = places.run_directory(store, identifier)
    if os.path.exists(directory):
        return not rundir.is_held(directory)
    return _read(store, identifier).status in (state.RUNNING, state.REMOVING)


def _read(store: Store, identifier: str) -> State:
    """Read a container's state; one that cannot be read says nothing that could be relied upon."""
    try:
        return state.read(store.containers.path(identifier))
    except Corrupt as error:
        return state.State(status=state.RUNNING, error=str(error))


def _put_right(engine: Engine, identifier: str, lock_fd: int) -> None:
    """Do what is left to be done for a container whose lock is ours."""
    from onggi.engine import cgroups

    store = engine.store
    record = _record(store, identifier)
    current = _read(store, identifier)
    if record and current.is_alive():
        _adopt(engine, record, current, lock_fd)
        return
    cgroups.clear(identifier, record)
    if record:
        _finish(store, record, current)
    elif os.path.isdir(store.containers.path(identifier)):
        from onggi.engine import creation

        creation.discard(store, identifier)
    rundir.remove(places.run_directory(store, identifier))


def _record(store: Store, identifier: str) -> dict[str, Any]:
    """Return the container's record, empty if it never came to have one or is gone."""
    from onggi.store.records import ContainerNotFound

    try:
        return store.containers.load(identifier)
    except ContainerNotFound:
        return {}


def _finish(store: Store, record: dict[str, Any], current: State) -> None:
    """Do for a container that does not run what whoever looked after it did not come to."""
    removing = current.status == state.REMOVING
    if record["options"]["remove"] or removing:
        from onggi.engine import removal

        removal.carry_out(store, record, volumes=not removing or current.volumes)
    elif current.status == state.RUNNING:
        state.write(store.containers.path(record["id"]), state.lost(current))


def _adopt(engine: Engine, record: dict[str, Any], current: State, lock_fd: int) -> None:
    """Give a living container a new monitor, in a session of its own."""
    import subprocess

    from onggi.engine import cgroups
    from onggi.engine.container import Container
    from onggi.runtime import monitor, start

    watch = Container(engine, record).watch()
    watch.cgroups = tuple(
        path for _, path in cgroups.directories(record["id"], record, current.pid)
    )
    nobody = subprocess.DEVNULL
    # The process started here forks the monitor and ends: nobody has to wait for a monitor.
    done = subprocess.run(
        monitor.command("adopted", watch, current, str(lock_fd)),
        pass_fds=(lock_fd,),
        stdin=nobody,
        stdout=nobody,
        stderr=nobody,
        cwd="/",
        umask=start.UMASK,
        start_new_session=True,
        check=False,
    )
    if done.returncode > 0:
        raise Internal(f"no new monitor could be started for container {record['id'][:12]}")
    # Killed as well, if it is negative: then the next who looks tries again.


def _sweep_unmade(store: Store) -> None:
    """Remove names, volumes and writable layers of what never came to be."""
    containers = store.containers
    made = len(containers.ids())
    if len(os.listdir(f"{store.root}/names")) != made:
        containers.sweep_names()
    if len(os.listdir(f"{store.root}/containers")) != made:
        from onggi.store.collect import sweep_snapshots

        sweep_snapshots(store)
