"""Holding all processes of a container where they are, and letting them go on.

Whether it is paused, the kernel's own cgroup file says. A mark in the run directory, set before and
taken away after, only spares those who look at many containers from reading it for each; so a
command that is killed in between leaves nothing to be put right.

Source: docker container pause; moby daemon/pause.go, daemon/kill.go.
"""

from __future__ import annotations

import os

from onggi.engine import cgroups
from onggi.errors import Conflict, Unsupported
from onggi.linux import freezer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from onggi.engine.container import Container


def is_held(container: Container) -> bool:
    """Tell whether the kernel holds the processes of a container, or is on the way to it."""
    return freezer.is_frozen(_directories(container))


def pause(container: Container) -> None:
    """Hold every process of a container; return when all of them rest.

    Raises: Conflict: it does not run, or is paused; Unsupported: nothing here can do it.
    """
    container.require_running()
    path = freezer.find(_directories(container))
    if not path:
        raise Unsupported(
            "there is no freezer for a container's processes here",
            hint="an ordinary user needs a delegated control group; commit takes --pause=false",
        )
    if freezer.is_frozen([path]):
        raise Conflict(f"container {container.id[:12]} is already paused")
    try:
        os.close(os.open(container.pause_mark, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        freezer.freeze(path)
    except FileNotFoundError:
        raise container.not_running() from None  # it ended just now


def unpause(container: Container) -> None:
    """Let the processes of a container go on. Raises: Conflict: it is not paused."""
    current = container.state
    if not current.is_alive() or not container.is_paused(current):
        raise Conflict(f"container {container.id[:12]} is not paused")
    release(container)


def release(container: Container) -> None:
    """Let the processes of a container go on, if they are held."""
    path = freezer.find(_directories(container))
    try:
        if path:
            freezer.thaw(path)
        os.unlink(container.pause_mark)
    except FileNotFoundError:
        return  # it ended just now, or another lets it go on as well


class Held:
    """Holds a container for the time of a `with` block, if it runs and is not held already."""

    __slots__ = ("_container", "_is_ours")

    def __init__(self, container: Container) -> None:
        self._container = container
        self._is_ours = False

    def __enter__(self) -> None:
        if self._container.status == "running":
            pause(self._container)
            self._is_ours = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_ours:
            release(self._container)


def _directories(container: Container) -> list[str]:
    pid = container.pid
    return [path for _, path in cgroups.directories(container.id, container.record, pid)]
