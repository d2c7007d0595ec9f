"""Signalling the processes that a list names, and no other that has got the number of one since.

A list of numbers is old as soon as it is read, and whoever is in it may end, and have its number
go to any process of the machine. So each is held by a pidfd first, and listed once more then: who
is in both is the same that is held, or another member.

Source: pidfd_open(2); pidfd_send_signal(2).
"""

from __future__ import annotations

import os

from onggi.linux import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_AT_ONCE = 128  # of them are held, for a process may have few descriptors


def signal_each(pids: Iterable[int], number: int, list_now: Callable[[], Iterable[int]]) -> None:
    """Send a signal to those of `pids` that `list_now` still returns; that some ended is fine."""
    left = sorted(pids)
    while left:
        some, left = left[:_AT_ONCE], left[_AT_ONCE:]
        held = {pid: fd for pid in some if (fd := _hold(pid)) >= 0}
        try:
            members = set(list_now())
            for pid, fd in held.items():
                if pid in members:
                    _send(fd, number)
        finally:
            for fd in held.values():
                os.close(fd)


def _hold(pid: int) -> int:
    try:
        return process.pidfd_open(pid)
    except ProcessLookupError:
        return -1


def _send(pidfd: int, number: int) -> None:
    try:
        process.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return  # it ended meanwhile
