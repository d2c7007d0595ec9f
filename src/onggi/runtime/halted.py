"""Processes that are stopped on their way into a container, and would be waited for for ever.

What `exec` has born, and a container that is made in the PID namespace of another, can be named by
the processes in there before it is the user's program, and stopped (SIGSTOP) by those of its user.
Nobody of ours stops it. So whoever listens to it looks up now and then, and ends what stands still.

Source: signal(7); proc_pid_stat(5), field 3. A process that is frozen with its cgroup is not
stopped, and one that is traced is in another state.
"""

from __future__ import annotations

import os

from onggi.linux import channel, identity, process
from onggi.runtime import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    Message = TypeVar("Message")

_LOOK_SECONDS = 1.0
_STOPPED = "T"
_SIGKILL = 9
_SEALED = "/memfd:onggi-enter "  # as /proc/PID/exe calls what stub.py makes


def listen(ours: int, receive: Callable[[], Message], find: Callable[[], Iterable[int]]) -> Message:
    """Return what `receive` brings from the channel `ours`, as long as who is to speak can.

    Args: find: returns the PIDs of those who are listened to.
    Raises: StartFailed: one of them was stopped, and has been killed.
    """
    channel.limit_wait(ours, _LOOK_SECONDS)
    while True:
        try:
            return receive()
        except BlockingIOError:
            for pid in find():
                _require_moving(pid)


def sealed_children() -> list[int]:
    """List those children of this thread that are the sealed program (stub.py) by now."""
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            pids = [int(word) for word in file.read().split()]
    except FileNotFoundError:
        return []  # without CONFIG_PROC_CHILDREN only those are known that say who they are
    return [pid for pid in pids if _is_sealed(pid)]


def _is_sealed(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/exe").startswith(_SEALED)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False  # it has ended, or has become the program of another user


def _require_moving(pid: int) -> None:
    try:
        held = process.pidfd_open(pid)
    except ProcessLookupError:
        return  # as the end of the channel will tell
    try:
        if identity.stat_fields(pid)[0] == _STOPPED:
            process.pidfd_send_signal(held, _SIGKILL)
            raise failure.StartFailed(
                "container", 0, "", "", "the process was stopped by another on its way inside"
            )
    except (FileNotFoundError, ProcessLookupError):
        return
    finally:
        os.close(held)
