"""Start a container in a process of its own, for a monitor that is to stay small.

A monitor lives as long as its container and shares its memory with whoever forked it, as long as it
leaves that memory alone. So what takes much (reading the order, planning, making and mounting) is
done by a child that ends when the container runs:

    monitor                 starter                            first process
    ───────                 ───────                            ─────────────
    forks ────────────────▶ reads the order, plans
                            makes cgroups and pipes
                            forks a sibling ─────────────────▶ born as the monitor's child
                            leads it (start.py) ◀────────────▶ becomes the program
                            writes the state, tells the client
    ◀────── "begun" + fds   ends

A failure is told to the client by the starter; what is left to the monitor is to notice.
"""

from __future__ import annotations

import os

from onggi.linux import channel, process
from onggi.oci import jsontext
from onggi.runtime import door, ending, failure, frames, start, state, stdio
from onggi.runtime.monitor import Begun
from onggi.runtime.plan.container import plan_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from onggi.runtime.host import Host
    from onggi.runtime.order import Order, Watch
    from onggi.runtime.plan.container import Plan
    from onggi.runtime.state import State

_BEGUN = b"begun"


def fork(
    read_order: Callable[[], Order],
    client_fd: int,
    gather: Callable[[], Host],
    meanwhile: Callable[[int], None],
) -> Begun | None:
    """Fork a starter and wait for what becomes of it; None: it failed, and the client knows.

    The container's first process is then a child of the caller, which has no others.

    Raises: Internal: the starter was killed; nothing runs, but cgroups may be left.
    """
    ours, theirs = channel.pair()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _serve(read_order, client_fd, theirs, gather)
    os.close(theirs)
    meanwhile(ours)
    message, fds = channel.receive(ours)
    os.close(ours)
    _, status = os.waitpid(pid, 0)
    if message:
        return _begun(message, tuple(fds))
    _end_children()
    if os.WIFSIGNALED(status):
        raise failure.died(status)
    return None


def _begun(message: bytes, fds: tuple[int, ...]) -> Begun:
    _, settle, terminal, is_apart = message.split(b"\0")
    pidfd, told_fd, door_fd, *ends = fds
    return Begun(
        pidfd=pidfd,
        told_fd=told_fd,
        door_fd=door_fd,
        fds=tuple(ends),
        terminal=terminal == b"1",
        is_apart=is_apart == b"1",
        settle=settle == b"1",
    )


def _end_children() -> None:
    """End a first process that nobody leads any more; it is our only child."""
    while True:
        try:
            with open("/proc/thread-self/children", encoding="ascii") as file:
                children = [int(word) for word in file.read().split()]
        except FileNotFoundError:
            return  # without CONFIG_PROC_CHILDREN it notices by itself that its leader is gone
        if not children:
            return
        for pid in children:
            start.end(pid)


def _serve(
    read_order: Callable[[], Order], client_fd: int, theirs: int, gather: Callable[[], Host]
) -> NoReturn:
    code = 1
    try:
        process.set_pdeathsig(start.SIGKILL)
        _start(read_order(), client_fd, theirs, gather())
        code = 0
    except failure.StartFailed as failed:
        channel.send(client_fd, failed.encode())
    except BaseException as error:  # noqa: BLE001  # the only one left to tell is at the other end
        channel.send(client_fd, failure.from_error("host", None, error).encode())
    finally:
        os._exit(code)


def _start(order: Order, client_fd: int, theirs: int, facts: Host) -> None:
    watch = order.watch
    pid = 0
    try:
        plan = plan_container(
            order.config,
            order.rootfs,
            facts,
            identifier=order.identifier,
            program=start.read_filter(order.filter_path),
            program_flags=order.filter_flags,
            init=order.init,
        )
        watch.cgroups = plan.cgroups
        door_fd = door.make(watch.run_directory)
        fds, pid = _start_planned(plan, watch)
        pidfd = process.pidfd_open(pid)
        running = state.running(pid)
        state.write(watch.directory, running)
    except BaseException:
        if pid:  # it runs, and nobody could know of it
            start.end(pid)
        ending.clean_up(watch)
        raise
    try:
        channel.send(client_fd, frames.STARTED + str(pid).encode())
    except BrokenPipeError:
        pass  # whoever asked has gone; the monitor hears of it as well
    is_apart = not (watch.interactive or watch.terminal or watch.tied)
    words = (b"%d" % number for number in (order.settle, watch.terminal, is_apart))
    channel.send(
        theirs, b"\0".join([_BEGUN, *words]), (pidfd, _told(watch, running), door_fd, *fds)
    )


def _told(watch: Watch, running: State) -> int:
    """Return a file in memory with what the monitor will want to know: no other could write it."""
    content = jsontext.dumps([watch.to_json(), running.to_json()]).encode()
    return process.memory_file("onggi-monitor", content)


def _start_planned(plan: Plan, watch: Watch) -> tuple[tuple[int, ...], int]:
    if plan.terminal:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        started = start.start(plan, (null, null, null), sibling=True)
        return (started.terminal_fd,), started.pid
    stdio.make(watch.run_directory, plan.owner, interactive=watch.interactive)
    inside = stdio.open_inside(watch.run_directory, interactive=watch.interactive)
    outside = stdio.open_outside(watch.run_directory, interactive=watch.interactive)
    return outside, start.start(plan, inside, sibling=True).pid
