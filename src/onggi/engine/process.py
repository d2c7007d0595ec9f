"""Further programs in a running container, and staying with them."""

from __future__ import annotations

import errno
import os

from onggi.engine import cgroups, users
from onggi.engine.attach import console_size
from onggi.engine.environment import assignments, merged
from onggi.engine.options import Exit, Streams
from onggi.engine.relay import Relay
from onggi.errors import Conflict, Internal
from onggi.linux import channel, terminal
from onggi.runtime import capabilities, enter, failure, frames, spec
from onggi.runtime.enter import Entry
from onggi.runtime.plan.users import user_map
from onggi.runtime.start import read_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.container import Container
    from onggi.engine.engine import Engine
    from onggi.engine.options import ExecOptions


class ExecSession:
    """A program that runs in a container beside the first one."""

    __slots__ = ("_channel_fd", "_relay", "_terminal_fd", "container", "pid")

    def __init__(
        self,
        container: Container,
        pid: int,
        *,
        relay: Relay,
        terminal_fd: int,
        channel_fd: int,
    ) -> None:
        self.container = container
        self.pid = pid
        self._relay = relay
        self._terminal_fd = terminal_fd  # -1: none; the relay closes it
        self._channel_fd = channel_fd  # -1: the program is a child of this process

    def wait(self) -> Exit:
        """Stay until the program has ended, passing bytes on."""
        ended_fd = self._channel_fd if self._channel_fd >= 0 else os.pidfd_open(self.pid)
        try:
            self._relay.run(ended_fd)
        finally:
            self._terminal_fd = -1  # first, for a signal handler may be using it
            self._relay.close()
            if ended_fd != self._channel_fd:
                os.close(ended_fd)
        code = os.waitstatus_to_exitcode(self._status())
        return Exit(code=128 - code if code < 0 else code, signal=-code if code < 0 else 0)

    def _status(self) -> int:
        if self._channel_fd < 0:
            return os.waitpid(self.pid, 0)[1]
        message = channel.receive(self._channel_fd)[0]
        os.close(self._channel_fd)
        if message[:1] != frames.EXIT:
            raise Internal("the process that waited for the program was killed")
        return int(message[1:])

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program's terminal its size."""
        if self._terminal_fd >= 0:
            terminal.set_size(self._terminal_fd, rows, columns)

    def signal(self, number: int) -> None:
        """Send the program a signal; one that has ended does not mind."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def detach(self) -> None:
        """Let the program go on by itself."""
        self._terminal_fd = -1
        self._relay.close()
        if self._channel_fd >= 0:
            os.close(self._channel_fd)
            self._channel_fd = -1


def start(
    engine: Engine, container: Container, options: ExecOptions, streams: Streams | None
) -> ExecSession:
    """Run a program in `container`; return once it is executed.

    Raises: Conflict: the container does not run; StartFailed.
    """
    streams = streams or Streams()
    entry = _entry(engine, container, options)
    if options.tty:
        entry.process["consoleSize"] = console_size(streams)
    null_fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        # With a terminal there are no pipes: it carries everything.
        relay = Relay(Streams() if options.tty else streams, _owner(container, entry), null_fd)
        session = _run(engine, container, entry, relay, streams)
    except BaseException as error:
        _tell_of_exec(error)
        raise
    finally:
        os.close(null_fd)
    if options.detach:
        session.detach()
    return session


def _tell_of_exec(error: BaseException) -> None:
    """Say of a failed start that it was not the container's; 126 and 127 are Docker's codes.

    Source: moby daemon/errors.go, setExitCodeFromError.
    """
    if isinstance(error, failure.StartFailed) and error.stage != "program":
        error.message = f"cannot start the program: {error.text}"
        error.exit_code = 127 if error.number == errno.ENOENT else 126


def _owner(container: Container, entry: Entry) -> tuple[int, int]:
    """Return the host's IDs of the user that the program will be."""
    linux, user = container.record["config"]["linux"], entry.process.get("user", {})
    ids = user.get("uid", 0), user.get("gid", 0)
    if "uidMappings" not in linux:
        return ids
    return user_map(linux).outside(*ids)


def _run(
    engine: Engine,
    container: Container,
    entry: Entry,
    relay: Relay,
    streams: Streams,
) -> ExecSession:
    try:
        pid, terminal_fd, channel_fd = _begin(engine, entry, relay)
    except BaseException:
        relay.close()
        raise
    finally:
        relay.close_inside()
    if terminal_fd >= 0:
        relay.take_terminal(terminal_fd, streams)
    return ExecSession(container, pid, relay=relay, terminal_fd=terminal_fd, channel_fd=channel_fd)


def _begin(engine: Engine, entry: Entry, relay: Relay) -> tuple[int, int, int]:
    """Run the program; return its PID, its terminal and its channel, -1 for those it has not."""
    if engine.is_direct:
        started = enter.enter(entry, read_filter(entry.filter_path), relay.inside)
        return started.pid, started.terminal_fd, -1
    channel_fd = engine.launcher.enter(entry, relay.inside)
    return *_wait_started(channel_fd), channel_fd


def _wait_started(channel_fd: int) -> tuple[int, int]:
    message, fds = channel.receive(channel_fd)
    if message[:1] == frames.STARTED:
        return int(message[1:]), fds[0] if fds else -1
    os.close(channel_fd)
    raise failure.decode(message) or Internal("the launcher ended without a word")


def _entry(engine: Engine, container: Container, options: ExecOptions) -> Entry:
    current = container.require_running()
    if container.is_paused(current):
        raise Conflict(f"container {container.id[:12]} is paused", hint="unpause it first")
    config = container.record["config"]
    path, flags = engine.filter_file(container.record)
    return Entry(
        identifier=container.id,
        pid=current.pid,
        start_ticks=current.start_ticks,
        cgroups=cgroups.entered(container.id, container.record, current.pid),
        kinds=tuple(entry["type"] for entry in config["linux"]["namespaces"]),
        process=_process(container, config["process"], options),
        filter_path="" if options.privileged else path,
        filter_flags=flags,
    )


def _process(container: Container, first: dict[str, Any], options: ExecOptions) -> dict[str, Any]:
    """Return the specification of a further process: the first one's, with what was asked for."""
    values = merged(first["env"], options.env)
    spec_process = {**first, "args": options.command, "terminal": options.tty}
    if options.user:
        from onggi.runtime import rights

        user = users.read_accounts(container.trees()).find(options.user)
        spec_process["user"] = users.held_user(user, rights.gather())
        spec_process["capabilities"] = spec.held(first["capabilities"]["bounding"], user.uid)
        if "HOME" not in merged(options.env):
            values["HOME"] = user.home
    if options.privileged:
        everything = list(capabilities.resolve([], [], privileged=True))
        uid = spec_process["user"].get("uid", 0)
        spec_process["capabilities"] = spec.held(everything, uid)
        spec_process["noNewPrivileges"] = False
    if options.tty:
        values.setdefault("TERM", "xterm")
    if options.workdir:
        from onggi.engine.spec import directory  # here, as most execs have no need of it

        spec_process["cwd"] = directory(options.workdir)
    spec_process["env"] = assignments(values)
    return spec_process
