"""Launch a container under a monitor of its own, from a process that may fork.

`launch` is for single-threaded callers: it forks the monitor itself. A threaded program asks its
launcher (launcher.py), which is single-threaded and does the same.
"""

from __future__ import annotations

import os

from onggi.linux import channel, process
from onggi.runtime import failure, host, monitor, start, starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    from onggi.runtime.host import Host
    from onggi.runtime.order import Order


def launch(order: Order, lock_fd: int) -> int:
    """Fork a monitor that carries out `order`; return our end of its channel, which we own.

    The first message on it is frames.STARTED or a failure. Closing it detaches.

    Args: lock_fd: what `rundir.lock` returned for the order's run directory; the monitor shares
        it, and the caller closes its own.
    """
    ours, theirs = channel.pair()
    if os.fork() == 0:
        os.close(ours)
        serve(lambda: order, theirs, lock_fd)
    os.close(theirs)
    return ours


def serve(
    read_order: Callable[[], Order],
    client_fd: int,
    lock_fd: int,
    *,
    order_fd: int = -1,
    gather: Callable[[], Host] = host.gather,
    meanwhile: Callable[[], None] | None = None,
    is_apart: bool = False,
) -> NoReturn:
    """Be the monitor of a container, in a process made for it; never returns.

    Args: read_order: called by the starter, so that the order costs the monitor nothing. order_fd:
        where it reads from, if it does; closed here. gather: returns the host's facts. meanwhile:
        called while the starter is at work. is_apart: whether this is a child of a launcher, which
        has left everything of its caller behind; then we detach while the starter is at work.
    """
    code = 1
    try:
        kept = [fd for fd in (client_fd, lock_fd, order_fd) if fd >= 0]
        if not is_apart:
            detach(kept)
        process.set_name("onggi-monitor")

        def besides(heard_fd: int) -> None:
            if is_apart:
                detach((*kept, heard_fd))
            if meanwhile is not None:
                meanwhile()

        begun = starter.fork(read_order, client_fd, gather, besides)
        if order_fd >= 0:
            os.close(order_fd)
        if begun is not None:
            monitor.look_after(begun, client_fd, lock_fd)
            code = 0
    except BaseException as error:  # noqa: BLE001  # the only one left to tell is at the other end
        channel.send(client_fd, failure.from_error("host", None, error).encode())
    finally:
        os._exit(code)


def detach(kept_fds: Iterable[int]) -> None:
    """Leave the caller's session, terminal, directory, streams and other descriptors behind."""
    os.setsid()
    os.chdir("/")
    os.umask(start.UMASK)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    # Also the descriptors that hold the caller's locks: a lock lives as long as any copy.
    process.close_others(kept_fds)
