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
        held = process.pidfd_open(context.pid)
        try:
            listener = process.pidfd_getfd(held, self.number)
            try:
                fd = channel.connect(self.path, channel.STREAM)
                try:
                    channel.send(fd, jsontext.dumps(document).encode(), (listener,))
                finally:
                    os.close(fd)
            finally:
                os.close(listener)
        finally:
            os.close(held)

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

    def answer(self, message: bytes, ours: int, pid: int) -> bool:
        """Do what process `pid` asks for, if this message asks; tell whether it does.

        Raises: StartFailed: nobody listens.
        """
        number = message.removeprefix(ASK)
        if number == message or not number.isdigit():
            return False
        context = Context()
        context.pid = pid
        step = SendListener(self.path, self._document, int(number[:10]))
        failure.apply_steps("host", [step], context)
        channel.send(ours, GO_ON)
        return True
