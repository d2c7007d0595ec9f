"""Seccomp filters that ask a program of the host's about calls.

The first process loads the filter and tells the number of the descriptor that the kernel gave it;
the host's side copies that, sends it to whoever listens, and lets the process go on. Passing it on
itself would take calls that the filter may forbid, or ask about, with nobody to answer yet.

Source: seccomp_unotify(2); runtime-spec config-linux.md, "The Container Process State".
"""

from __future__ import annotations

import os

from onggi.linux import channel, process, seccomp
from onggi.oci import jsontext
from onggi.runtime import failure
from onggi.runtime.steps.base import Context, Step
from onggi.runtime.steps.process import LoadFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ASK = b"seccomp "
GO_ON = b"go on"
_PATIENCE_SECONDS = 10  # with whoever listens, and may not be there any more in all but name


class LoadWatchedFilter(LoadFilter):
    """Load the filter, and wait until somebody listens to what it asks."""

    __slots__ = ()

    def apply(self, context: Context) -> None:
        fd = seccomp.load_filter(self.program, self.flags)
        os.write(context.report_fd, ASK + b"%d" % fd)
        if os.read(context.report_fd, len(GO_ON)) != GO_ON:
            os._exit(1)  # whoever started this is gone, and with it the reason to go on
        os.close(fd)

    def describe(self) -> str:
        return f"{super().describe()}, and have somebody listen"


def watched(steps: list[Step]) -> list[Step]:
    """Return the steps with a filter loaded so that somebody listens."""
    return [
        LoadWatchedFilter(step.program, step.flags) if isinstance(step, LoadFilter) else step
        for step in steps
    ]


class SendListener(Step):
    """Send the descriptor of a process's filter to the socket of whoever answers it."""

    __slots__ = ("document", "number", "path")

    def __init__(self, path: str, document: dict[str, Any], number: int) -> None:
        self.path = path
        self.document = document  # the container process state, without the PID
        self.number = number  # of the descriptor in the process

    def apply(self, context: Context) -> None:
        document = {**self.document, "pid": context.pid}
        document["state"] = {**document["state"], "pid": context.pid}
        listener = _fetch(context.pid, self.number)
        try:
            _send(self.path, document, listener)
        finally:
            os.close(listener)

    def describe(self) -> str:
        return f"send the seccomp listener to {self.path}"

    def shell(self) -> list[str]:
        return []  # no program of a shell passes descriptors


def _fetch(pid: int, number: int) -> int:
    """Return a descriptor of ours for the one that a process calls `number`."""
    held = process.pidfd_open(pid)
    try:
        return process.pidfd_getfd(held, number)
    finally:
        os.close(held)


def _send(path: str, document: dict[str, Any], listener: int) -> None:
    fd = channel.connect(path, channel.STREAM, patience=_PATIENCE_SECONDS)
    try:
        channel.send(fd, jsontext.dumps(document).encode(), (listener,))
    finally:
        os.close(fd)


class SendHeldListener(Step):
    """Send the descriptor of a filter that is held here, for a process that has been born since."""

    __slots__ = ("document", "fd", "path")

    def __init__(self, path: str, document: dict[str, Any], fd: int) -> None:
        self.path = path
        self.document = document  # the container process state, without the PID
        self.fd = fd

    def apply(self, context: Context) -> None:
        _send(self.path, {**self.document, "pid": context.pid}, self.fd)

    def describe(self) -> str:
        return f"send the seccomp listener to {self.path}"

    def shell(self) -> list[str]:
        return []  # no program of a shell passes descriptors


class Listener:
    """Who is told of calls: the socket's path and what is sent there with the descriptor."""

    __slots__ = ("_document", "path")

    def __init__(self, seccomp_part: dict[str, Any], state: dict[str, Any]) -> None:
        self.path: str = seccomp_part.get("listenerPath", "")
        self._document: dict[str, Any] = {
            "ociVersion": state["ociVersion"],
            "fds": ["seccompFd"],
            "state": state,
        }
        if seccomp_part.get("listenerMetadata"):
            self._document["metadata"] = seccomp_part["listenerMetadata"]

    def number(self, message: bytes) -> int:
        """Return which descriptor of the process a message speaks of; -1 if of none."""
        number = message.removeprefix(ASK)
        return int(number[:10]) if number != message and number.isdigit() else -1

    def answer(self, message: bytes, ours: int, pid: int) -> bool:
        """Do what process `pid` asks for, if this message asks; tell whether it does.

        Raises: StartFailed: nobody listens.
        """
        number = self.number(message)
        if number < 0:
            return False
        self._tell(SendListener(self.path, self._document, number), pid)
        channel.send(ours, GO_ON)
        return True

    def _tell(self, step: Step, pid: int) -> None:
        context = Context()
        context.pid = pid
        failure.apply_steps("host", [step], context)


class LateListener(Listener):
    """Who is told of calls of a program that enters: by another process than loads the filter.

    Whoever loads it has the program born, and so the descriptor is held until there is a PID to
    tell. That must not be where a call on this way is asked about: nobody could answer it. There
    the PID that is told is that of the process that loads the filter.
    """

    # What is called between the filter and the moment at which the PID is known.
    _ON_THE_WAY = frozenset(
        {
            *("clone", "close", "close_range", "dup2", "dup3", "execveat", "exit_group", "fcntl"),
            *("openat2", "prctl", "read", "sendmsg", "sendto", "write"),
        }
    )

    __slots__ = ("_fd", "_hurry")

    def __init__(self, seccomp_part: dict[str, Any], state: dict[str, Any]) -> None:
        super().__init__(seccomp_part, state)
        asked = (rule for rule in seccomp_part["syscalls"] if rule["action"] == "SCMP_ACT_NOTIFY")
        self._hurry = any(not self._ON_THE_WAY.isdisjoint(rule["names"]) for rule in asked)
        self._fd = -1

    def answer(self, message: bytes, ours: int, pid: int) -> bool:
        """Take the descriptor that process `pid` speaks of, if this message does; tell whether."""
        number = self.number(message)
        if number < 0 or self._fd >= 0:
            return False
        self._fd = _fetch(pid, number)
        if self._hurry:
            self.tell(pid)
        channel.send(ours, GO_ON)
        return True

    def tell(self, pid: int) -> None:
        """Tell of the program, which is process `pid` now, unless it has been told of.

        Raises: StartFailed: nobody listens.
        """
        if self._fd < 0:
            return
        try:
            self._tell(SendHeldListener(self.path, self._document, self._fd), pid)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of what is held; closing twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
