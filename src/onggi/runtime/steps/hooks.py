"""Steps that run programs of the caller's at certain moments of a container's life.

A hook gets the container's state as JSON on its standard input. What it writes is kept for the
message, should it fail; it fails by an exit status other than 0, a signal, or taking too long.

Source: runtime-spec config.md, "POSIX-platform Hooks"; runc libcontainer/configs/config.go.
"""

from __future__ import annotations

import os
import select
import time

from onggi.linux import channel, process
from onggi.oci import jsontext
from onggi.runtime import failure
from onggi.runtime.steps.base import Context, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.failure import StartFailed

HOOKS = b"hooks"
DEVICES = b"devices"
GO_ON = b"go on"

_SIGKILL = 9
_MOST_OUTPUT = 4096  # bytes of it, for the message
_CHUNK = 65536


class MeetHost(Step):
    """Let the host's side do what needs the container to be as far as this, and wait for it.

    For hooks the namespaces and the file tree have to be there, for devices the namespaces.
    """

    __slots__ = ("purpose",)

    def __init__(self, purpose: bytes) -> None:
        self.purpose = purpose  # HOOKS or DEVICES, which Plan.hooks and Plan.devices answer

    def apply(self, context: Context) -> None:
        channel.send(context.report_fd, self.purpose)
        if channel.receive(context.report_fd)[0] != GO_ON:
            os._exit(1)  # whoever started this is gone, and with it the reason to go on

    def describe(self) -> str:
        return "let the host " + ("run its hooks" if self.purpose == HOOKS else "hand devices over")

    def shell(self) -> list[str]:
        return []  # hooks are run in their order by a script as well


class RunHook(Step):
    """Run one hook and wait for its end.

    kind: the list that it stands in. state: the container's, without its PID, which is that of
    `Context.pid`, or of the process that runs the hook. env: None is the environment of that.
    """

    __slots__ = ("args", "env", "kind", "path", "state", "timeout")

    def __init__(
        self,
        kind: str,
        path: str,
        args: tuple[str, ...],
        env: tuple[str, ...] | None,
        timeout: int,
        state: dict[str, Any],
    ) -> None:
        self.kind = kind
        self.path = path
        self.args = args
        self.env = env
        self.timeout = timeout  # seconds; 0 is for ever
        self.state = state

    def apply(self, context: Context) -> None:
        state = {**self.state, "pid": context.pid or os.getpid()}
        running = _Running(self, jsontext.dumps(state).encode())
        try:
            running.wait(self.timeout)
        finally:
            running.close()

    def describe(self) -> str:
        return f"run the {self.kind} hook {self.path}"

    def shell(self) -> list[str]:
        return []  # hooks are the caller's, who may run them

    def argument(self) -> str:
        return self.path

    def failed(self, why: str, output: bytes = b"") -> StartFailed:
        """Return the failure of this hook."""
        said = output.decode("utf-8", "replace").strip()
        text = f"error running {self.kind} hook {self.path}: {why}" + (f": {said}" if said else "")
        return failure.StartFailed("hook", 0, "execve", self.path, text)


class _Running:
    """A hook that was started: its process, and the pipes to and from it."""

    def __init__(self, hook: RunHook, state: bytes) -> None:
        self._hook = hook
        self._unsaid = state
        self._heard = b""
        theirs, self._stdin = os.pipe2(os.O_CLOEXEC)
        self._output, their_output = os.pipe2(os.O_CLOEXEC)
        self._pid = self._pidfd = -1
        try:
            self._pid = self._spawn(theirs, their_output)
            self._pidfd = process.pidfd_open(self._pid)
        except BaseException:
            self.close()
            raise
        finally:
            os.close(theirs)
            os.close(their_output)
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._output, False)

    def _spawn(self, stdin: int, output: int) -> int:
        hook = self._hook
        env = dict(os.environ)
        if hook.env is not None:
            pairs = (entry.partition("=") for entry in hook.env)
            env = {name: value for name, _, value in pairs}
        moves = [
            (os.POSIX_SPAWN_DUP2, old, new) for old, new in ((stdin, 0), (output, 1), (output, 2))
        ]
        try:
            return os.posix_spawn(hook.path, hook.args or (hook.path,), env, file_actions=moves)
        except OSError as error:
            raise hook.failed(error.strerror or "it cannot be executed") from error

    def wait(self, timeout: int) -> None:
        """Give it the state and wait for its end. Raises: StartFailed."""
        deadline = time.monotonic() + timeout if timeout else None
        while True:
            left = None if deadline is None else max(0, deadline - time.monotonic())
            if left == 0:
                raise self._hook.failed(f"hook ran past specified timeout of {timeout}s")
            ready = self._poll(left)
            self._say(ready)
            self._hear()
            if self._pidfd in ready:
                break
        pid, self._pid = self._pid, -1
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            why = f"exit status {code}" if code > 0 else f"ended by signal {-code}"
            raise self._hook.failed(why, self._heard)

    def _poll(self, seconds: float | None) -> set[int]:
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        if self._output >= 0:
            poller.register(self._output, select.POLLIN)
        if self._stdin >= 0:
            poller.register(self._stdin, select.POLLOUT)
        milliseconds = None if seconds is None else int(seconds * 1000) + 1
        return {fd for fd, _ in poller.poll(milliseconds)}

    def _say(self, ready: set[int]) -> None:
        if self._stdin < 0 or self._stdin not in ready:
            return
        try:
            self._unsaid = self._unsaid[os.write(self._stdin, self._unsaid) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsaid = b""  # it does not want to know
        if not self._unsaid:
            os.close(self._stdin)
            self._stdin = -1

    def _hear(self) -> None:
        if self._output < 0:
            return
        try:
            piece = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return
        self._heard = (self._heard + piece)[:_MOST_OUTPUT]
        if not piece:
            os.close(self._output)
            self._output = -1

    def close(self) -> None:
        """End it, if it has not ended, and close what is open."""
        if self._pid >= 0:
            os.kill(self._pid, _SIGKILL)
            os.waitpid(self._pid, 0)
        for fd in (self._stdin, self._output, self._pidfd):
            if fd >= 0:
                os.close(fd)


def plan_hooks(
    hooks: dict[str, Any], kind: str, state: dict[str, Any], env: tuple[str, ...] | None = None
) -> list[Step]:
    """Return the steps for the hooks of a kind, in their order.

    Args: hooks: as the specification writes them. env: the environment of those that name none;
        None: that of whoever runs them.
    """
    return [
        RunHook(
            kind,
            hook["path"],
            tuple(hook.get("args", ())),
            tuple(hook["env"]) if hook.get("env") else env,
            hook.get("timeout", 0),
            state,
        )
        for hook in hooks.get(kind, [])
    ]
