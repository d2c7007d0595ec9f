"""The launcher: a small single-threaded process that forks for a threaded program.

A program with threads must not fork and go on in Python, so it asks this process, which has
everything imported and frozen: a child of it shares those pages, and has next to nothing of its
own. One message asks for one thing:

    L + descriptors (channel, lock, order as JSON)      be the monitor of a new container
    E + descriptors (channel, entry as JSON, three standard streams)   run a program in a container

Everything that follows is said on the channel that came along. The launcher ends with the program
that started it; what it has forked goes on.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 6 ms, and this is all of it
import os
import sys

from onggi.linux import channel, process
from onggi.oci import jsontext
from onggi.runtime import ending, enter, failure, frames, host, launch, order, start
from onggi.runtime.enter import Entry
from onggi.runtime.stub import stub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from onggi.runtime.host import Host

_SIGCHLD = 17


def main() -> None:
    """Serve the program at the other end of the descriptor that is named, until it is gone."""
    import gc

    request_fd = int(sys.argv[1])
    ending.load()

    _signal.signal(_SIGCHLD, _signal.SIG_IGN)  # nobody waits for what is forked here
    process.set_name("onggi-launcher")
    facts = _look_around()  # who mounts cgroup hierarchies later starts another program
    gc.collect()
    gc.freeze()  # what is here stays, and no collection in a child touches its pages
    while True:
        try:
            kind, fds = channel.receive(request_fd)
        except channel.CutShort:
            continue  # the channel that came along is closed, which tells whoever asked
        if not kind:
            return
        if os.fork() == 0:
            os.close(request_fd)
            _signal.signal(_SIGCHLD, _signal.SIG_DFL)
            _serve(kind, fds, facts)
        for fd in fds:
            os.close(fd)


def serve_once(request_fd: int) -> None:
    """Do one thing that is asked for, in this process; never returns if it was asked."""
    facts = _look_around()
    kind, fds = channel.receive(request_fd)
    os.close(request_fd)
    if kind:
        _serve(kind, fds, facts, meanwhile=ending.load)


def _look_around() -> Host:
    """Do what every start takes before it is waited for: import it, read the host's facts."""
    stub.program()
    return host.gather()


def _serve(
    kind: bytes, fds: list[int], facts: Host, meanwhile: Callable[[], None] | None = None
) -> None:
    """Do what was asked for, in a process of its own; never returns."""
    try:
        if kind == frames.LAUNCH:
            client_fd, lock_fd, payload = fds
            launch.serve(
                lambda: order.from_json(_read(payload)),
                client_fd,
                lock_fd,
                order_fd=payload,
                gather=lambda: facts,
                meanwhile=meanwhile,
                is_apart=meanwhile is None,
            )
        elif kind == frames.ENTER:
            _enter(*fds)
    finally:
        os._exit(1)


def _enter(client_fd: int, payload: int, stdin: int, stdout: int, stderr: int) -> None:
    """Run a program in a container, and tell how it ended."""
    try:
        entry = Entry(**_read(payload))
        started = enter.enter(entry, start.read_filter(entry.filter_path), (stdin, stdout, stderr))
    except failure.StartFailed as failed:
        channel.send(client_fd, failed.encode())
        return
    except BaseException as error:  # noqa: BLE001  # the only one left to tell is at the other end
        channel.send(client_fd, failure.from_error("host", None, error).encode())
        return
    for fd in (stdin, stdout, stderr):
        os.close(fd)  # so that a pipe ends with the program, not with us
    terminal = (started.terminal_fd,) if started.terminal_fd >= 0 else ()
    channel.send(client_fd, frames.STARTED + str(started.pid).encode(), terminal)
    if terminal:
        os.close(started.terminal_fd)
    _, status = os.waitpid(started.pid, 0)
    try:
        channel.send(client_fd, frames.EXIT + str(status).encode())
    except BrokenPipeError:
        pass  # nobody wants to know
    os._exit(0)


def _read(payload: int) -> dict[str, Any]:
    with open(payload, "rb") as file:
        members: dict[str, Any] = jsontext.loads(file.read())
    return members
