"""`delete`: remove what is held for a container that has stopped."""

from __future__ import annotations

import os

from onggi.errors import Conflict, NotFound
from onggi.linux import freezer, process, signals
from onggi.runtime.command import afterwards, kill, record
from onggi.runtime.command.words import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.record import Folder, Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command(
    "CONTAINER",
    1,
    1,
    Option("force", "", "End it first if it runs, and accept that there is none", short="f"),
    kill.BY_REGEX,
)
_PATIENCE_MILLISECONDS = 10_000


def execute(words: Words, runtime: Runtime) -> int:
    """Remove the container, or each that matches."""
    (named,) = words.arguments
    force = words.has("force")
    if words.has("regex"):
        from onggi.runtime.command import matching

        return matching.each(named, runtime, lambda one: delete(one, runtime, force=force))
    delete(named, runtime, force=force)
    return 0


def delete(identifier: str, runtime: Runtime, *, force: bool) -> None:
    """Remove a container; one that is only created is ended first, as runc does."""
    if force:
        _end_unheld(identifier, runtime)
    try:
        folder = record.hold(runtime.root, identifier)
    except NotFound:
        if force:
            return
        raise
    with folder:
        known = folder.read()
        now = record.status(runtime.root, known)
        if now not in (record.STOPPED, record.CREATED) and not force:
            raise Conflict(f"cannot delete container {identifier} that is not stopped: {now}")
        if now != record.STOPPED:
            end(known)
        remove(folder, known, runtime)


def _end_unheld(identifier: str, runtime: Runtime) -> None:
    """End the container's process before its lock is had: who has it may be waiting for that."""
    try:
        known = record.read(runtime.root, identifier)
    except NotFound:
        return
    if known.pid and record.status(runtime.root, known) != record.STOPPED:
        end(known)


def end(known: Record) -> None:
    """Kill the first process and wait for its end. Raises: Conflict: it does not end."""
    try:
        fd = process.pidfd_open(known.pid)
    except ProcessLookupError:
        return
    try:
        if process.start_time(known.pid) == known.start_ticks:
            kill.send(known, signals.SIGKILL)
            _wait(fd, known)
    except (FileNotFoundError, kill.Ended):
        return  # it ended meanwhile
    finally:
        os.close(fd)


def _wait(pidfd: int, known: Record) -> None:
    from select import poll

    waiting = poll()
    waiting.register(pidfd)
    if not waiting.poll(_PATIENCE_MILLISECONDS):
        raise Conflict(f"container init {known.pid} still running")


def remove(folder: Folder, known: Record, runtime: Runtime) -> None:
    """Remove the cgroups, with whatever is left in them, run the last hooks, and forget it."""
    path = freezer.find(known.cgroups)
    if path and freezer.is_frozen(known.cgroups):
        freezer.thaw(path)
    record.remove_groups(known)
    try:
        afterwards.run_poststop(folder.config(), known, runtime)
    except NotFound:
        pass  # its creator was killed before it had written the configuration down
    folder.remove()
