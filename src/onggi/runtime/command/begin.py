"""`start`: have the first process of a created container become its program."""

from __future__ import annotations

import os

from onggi.errors import Conflict
from onggi.linux import channel
from onggi.runtime import start
from onggi.runtime.command import afterwards, delete, record
from onggi.runtime.command.words import Command
from onggi.runtime.steps import waiting
from onggi.runtime.steps.process import Execute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from onggi.runtime.command.record import Folder, Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command("CONTAINER", 1, 1)

_REFUSALS = {
    record.CREATING: "cannot start a container that is being created",
    record.RUNNING: "cannot start an already running container",
    record.PAUSED: "cannot start a paused container",
    record.STOPPED: "cannot start a container that has stopped",
}


def execute(words: Words, runtime: Runtime) -> int:
    """Start the container's program, and return when it runs."""
    (identifier,) = words.arguments
    with record.hold(runtime.root, identifier) as folder:
        known = folder.read()
        now = record.status(runtime.root, known)
        if now != record.CREATED:
            raise Conflict(_REFUSALS[now])
        begin(folder, known)
    return 0


def begin(folder: Folder, known: Record) -> None:
    """Start the program of a created container whose directory is held.

    Raises: StartFailed: it cannot be executed, and the container has stopped.
    """
    config = folder.config()
    fd = _connect(folder)
    try:
        channel.send(fd, waiting.GO)
        folder.remove_socket()
        execute = Execute(tuple(config["process"]["args"]), ())
        start.hear(fd, known.pid, execute, _listener(config, known, fd))
    finally:
        os.close(fd)
    tell_started(config, known)


def _listener(config: dict[str, Any], known: Record, fd: int) -> Callable[[bytes], bool] | None:
    """Return what answers a filter that is loaded now and wants somebody to listen."""
    seccomp = config["linux"].get("seccomp", {})
    if not seccomp.get("listenerPath"):
        return None
    from onggi.runtime.steps import notify

    listener = notify.Listener(seccomp, record.document(known, record.CREATED))
    return lambda message: listener.answer(message, fd, known.pid)


def tell_started(config: dict[str, Any], known: Record) -> None:
    """Run the hooks for a program that runs now; end the container if one fails."""
    try:
        afterwards.run_poststart(config, known)
    except BaseException:
        delete.end(known)
        raise


def _connect(folder: Folder) -> int:
    try:
        return folder.take_socket()
    except ConnectionRefusedError:
        raise Conflict(_REFUSALS[record.STOPPED]) from None
    except BlockingIOError:
        raise Conflict("the first process of the container does not answer") from None
