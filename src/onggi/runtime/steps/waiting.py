"""Steps of a container that is created now and started later, by another process.

Its first process does everything but become the user's program, and waits at a socket in the
container's directory, which the creator bound while the host's files were in sight. Whoever starts
the container connects to it, and hears the rest as the creator would have (start.py).
"""

from __future__ import annotations

import errno
import os

from onggi.linux import channel, device, process
from onggi.runtime.steps.base import Context, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.steps.process import Execute

GO = b"go"


class FindProgram(Step):
    """Find the program before there is anybody to start it, so that its lack is told at once."""

    __slots__ = ("execute",)

    def __init__(self, execute: Execute) -> None:
        self.execute = execute

    def apply(self, context: Context) -> None:
        path = self.execute.find()
        os.stat(path)
        if os.path.isdir(path) or not os.access(path, os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)

    def describe(self) -> str:
        return f"find {self.execute.argument()}"

    def shell(self) -> list[str]:
        return []  # a script starts what it creates

    def argument(self) -> str:
        return self.execute.argument()


class AwaitStart(Step):
    """Say that the container is created, and wait until somebody starts it.

    It may take days, and the creator ends: this process depends on it no longer, and keeps nothing
    of the host's open meanwhile. Who connects and leaves without a word has started nothing.
    """

    __slots__ = ("listener_fd", "passed_fds")

    def __init__(self, listener_fd: int, passed_fds: int) -> None:
        self.listener_fd = listener_fd  # the socket, made by `channel.listen`
        self.passed_fds = passed_fds  # as Execute's

    def apply(self, context: Context) -> None:
        process.set_pdeathsig(0)
        channel.send(context.report_fd, b"created")
        process.close_others((self.listener_fd, context.stub_fd), 3 + self.passed_fds)
        context.root_fd = context.terminal_fd = context.report_fd = -1
        context.report_fd = self._wait()
        os.close(self.listener_fd)

    def _wait(self) -> int:
        while True:
            fd = channel.accept(self.listener_fd)
            message, passed = channel.receive(fd)
            for one in passed:
                os.close(one)
            if message == GO:
                return fd
            os.close(fd)

    def describe(self) -> str:
        return "wait to be started"

    def shell(self) -> list[str]:
        return []  # a script starts what it creates


class OwnStreams(Step):
    """Give standard streams to the program's user, who may then open them again by name.

    The null device belongs to everybody; what cannot be given away stays as it is.

    Source: runc libcontainer/init_linux.go, fixStdioPermissions.
    """

    __slots__ = ("uid",)

    def __init__(self, uid: int) -> None:
        self.uid = uid

    def apply(self, context: Context) -> None:
        null = os.makedev(*device.NULL)
        for fd in (0, 1, 2):
            try:
                status = os.fstat(fd)
                if status.st_rdev != null and status.st_uid != self.uid:
                    os.fchown(fd, self.uid, -1)
            except OSError as error:
                if error.errno not in (errno.EBADF, errno.EINVAL, errno.EPERM, errno.EROFS):
                    raise

    def describe(self) -> str:
        return f"give the standard streams to user {self.uid}"

    def shell(self) -> list[str]:
        return []  # the script's program uses the caller's
