"""Launch a container under a monitor of its own, from a process that may fork.

`launch` is for single-threaded callers: it forks the monitor itself. A threaded program asks its
launcher (launcher.py), which is single-threaded and does the same.
"""

from __future__ import annotations

import os

from onggi.linux import channel, process
from onggi.runtime import failure, frames, host, monitor, rundir, start, state, stdio
from onggi.runtime.plan.container import plan_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from onggi.runtime.host import Host
    from onggi.runtime.order import Order, Watch
    from onggi.runtime.plan.container import Plan


def launch(order: Order, lock_fd: int) -> int:
    """Fork a monitor that carries out `order`; return our end of its channel, which we own.

    The first message on it is frames.STARTED or a failure. Closing it detaches.

    Args: lock_fd: what `rundir.lock` returned for the order's run directory; the monitor shares
        it, and the caller closes its own.
    """
    ours, theirs = channel.pair()
    if os.fork() == 0:
        os.close(ours)
        serve(order, theirs, lock_fd)
    os.close(theirs)
    return ours


def serve(order: Order, client_fd: int, lock_fd: int, facts: Host | None = None) -> NoReturn:
    """Be the monitor of `order`, in a process made for it; never returns.

    Args: facts: the host's, where they are known already.
    """
    code = 1
    try:
        detach((client_fd, lock_fd))
        _serve(order, client_fd, lock_fd, facts or host.gather())
        code = 0
    except failure.StartFailed as failed:
        channel.send(client_fd, failed.encode())
    except BaseException as error:  # noqa: BLE001  # the only one left to tell is at the other end
        channel.send(client_fd, failure.from_error("host", None, error).encode())
    finally:
        os._exit(code)


def detach(kept_fds: tuple[int, ...]) -> None:
    """Leave the caller's session, terminal, directory, streams and descriptors behind."""
    os.setsid()
    os.chdir("/")
    os.umask(start.UMASK)
    process.set_name("onggi-monitor")
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    # Also the descriptors that hold the caller's locks: a lock lives as long as any copy.
    begin = 3
    for kept in sorted(set(kept_fds)):
        if kept > begin:
            process.close_range(begin, kept - 1)
        begin = kept + 1
    process.close_range(begin)


def _serve(order: Order, client_fd: int, lock_fd: int, facts: Host) -> None:
    watch = order.watch
    try:
        plan = plan_container(
            order.config,
            order.rootfs,
            facts,
            identifier=order.identifier,
            program=read_filter(order.filter_path),
            program_flags=order.filter_flags,
            init=order.init,
        )
        watch.cgroups = plan.cgroups
        ends, pid = _start(plan, watch)
    except BaseException:
        rundir.remove(watch.run_directory)
        raise
    running = state.running(pid, watch.to_json())
    state.write(watch.directory, running)
    channel.send(client_fd, frames.STARTED + str(pid).encode())
    looked_after = monitor.Monitor(watch, running, ends, client_fd=client_fd, lock_fd=lock_fd)
    looked_after.run(settle=order.settle)


def _start(plan: Plan, watch: Watch) -> tuple[stdio.HostEnds, int]:
    if plan.terminal:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        started = start.start(plan, (null, null, null))
        os.close(null)
        return stdio.terminal_ends(started.terminal_fd), started.pid
    stdio.make(watch.run_directory, plan.owner, interactive=watch.interactive)
    inside = stdio.open_inside(watch.run_directory, interactive=watch.interactive)
    ends = stdio.open_outside(watch.run_directory, interactive=watch.interactive)
    pid = start.start(plan, inside).pid
    for fd in inside:
        os.close(fd)
    return ends, pid


def read_filter(path: str) -> bytes:
    """Return the compiled seccomp filter in the file `path`; none for an empty path."""
    if not path:
        return b""
    with open(path, "rb") as file:
        return file.read()
