"""The monitor: one small process a container, which outlives whatever started it.

It holds the host's ends of the container's streams, writes the log, passes input and output on to
whoever is attached, waits for the first process, and when that ends measures, cleans up and writes
down how it ended. It is all that runs for an idle container, so it imports next to nothing, and
what only the end needs is imported at the end.

Nothing is lost with it: the pipes have names and the state says what to watch, so `resume` in
another process goes on where a killed monitor stopped.
"""

from __future__ import annotations

import errno
import os
import select
import sys

from onggi import startup
from onggi.linux import channel
from onggi.oci import jsontext
from onggi.runtime import clients, door, ending, frames, state, stdio
from onggi.runtime.clients import Client
from onggi.runtime.log import LogWriter
from onggi.runtime.order import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.state import State
    from onggi.runtime.stdio import HostEnds

_MOST_PENDING = 8 * frames.MOST_BYTES  # held for a program that is slow
_SETTLE_MS = 1000
_SIGKILL = 9
_MOST_DRAINED = (1 << 20) // frames.MOST_BYTES + 1  # reads: a pipe holds a mebibyte at most
_DRAIN_MS = 20  # how long output may still be on its way once the first process has ended


class Monitor:
    """Looks after one container whose first process runs."""

    def __init__(
        self,
        watch: Watch,
        running: State,
        ends: HostEnds,
        *,
        pidfd: int,
        lock_fd: int,
        door_fd: int,
        attached: list[Client],
    ) -> None:
        self._watch = watch
        self._state = running
        self._ends = ends
        self._clients = attached
        self._lock_fd = lock_fd
        self._door_fd = door_fd
        self._log = LogWriter(watch.directory)
        self._pidfd = pidfd
        self._input = bytearray()
        self._input_ended = False
        kinds = {
            ends.stdout_fd: (b"stdout", frames.OUTPUT),
            ends.stderr_fd: (b"stderr", frames.ERROR),
        }
        self._outputs = {fd: kind for fd, kind in kinds.items() if fd >= 0}

    def run(self, *, settle: bool) -> None:
        """Serve until the first process has ended, then clean up and say so.

        With `settle` it goes on as a leaner process once nothing has happened for a while.
        """
        while True:
            ready = self._poller().poll(_SETTLE_MS if settle else None)
            if not ready and self._is_quiet():
                self._settle()
            for fd, _ in ready:
                if fd != self._pidfd:
                    self._serve(fd)
            if any(fd == self._pidfd for fd, _ in ready):
                break
        self._drain()
        self._finish()

    def _poller(self) -> select.poll:
        for gone in [client for client in self._clients if client.fd < 0]:
            self._let_go(gone)
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        poller.register(self._door_fd, select.POLLIN)
        is_behind = self._is_behind()
        if not is_behind:
            for fd in self._outputs:
                poller.register(fd, select.POLLIN)
        wanted = select.POLLIN if len(self._input) < _MOST_PENDING else 0
        for client in self._clients:
            poller.register(client.fd, wanted | (select.POLLOUT if client.size else 0))
        if self._input and self._ends.stdin_fd >= 0:
            # A terminal is read and written through the same descriptor.
            is_read = self._ends.stdin_fd in self._outputs and not is_behind
            both = select.POLLIN if is_read else 0
            poller.register(self._ends.stdin_fd, select.POLLOUT | both)
        return poller

    def _is_behind(self) -> bool:
        return any(client.is_behind() for client in self._clients)

    def _serve(self, fd: int) -> None:
        if fd == self._door_fd:
            self._admit()
            return
        for client in self._clients:
            if fd == client.fd:
                client.flush()
                self._hear(client)
                return
        if fd == self._ends.stdin_fd:
            self._feed()
        if fd in self._outputs and not self._is_behind():
            self._read(fd)

    def _admit(self) -> None:
        """Let somebody in who has come to the door."""
        try:
            fd = channel.accept(self._door_fd)
        except (BlockingIOError, ConnectionAbortedError):
            return  # gone again
        self._clients.append(Client(fd, hears=True))

    def _read(self, fd: int) -> bool:
        """Read output once and pass it on; tell whether there was any."""
        try:
            data = os.read(fd, frames.MOST_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # how a terminal says that its other end is closed
                raise
            data = b""
        if not data:
            self._close_output(fd)
            return False
        name, kind = self._outputs[fd]
        self._log.write(name, data)
        for client in self._clients:
            if client.hears:
                client.send(kind + data)
        return True

    def _close_output(self, fd: int) -> None:
        del self._outputs[fd]
        self._ends.forget(fd)
        os.close(fd)

    def _hear(self, client: Client) -> None:
        """Take one message of somebody who is attached."""
        try:
            message = os.read(client.fd, 2 * frames.MOST_BYTES) if client.fd >= 0 else b""
        except BlockingIOError:
            return
        except OSError:
            message = b""
        kind, content = message[:1], message[1:]
        if kind == frames.INPUT:
            self._input += content
            self._feed()
        elif kind == frames.END:
            self._end_input()
        elif kind == frames.SIZE:
            self._resize(content)
        elif not message:
            self._let_go(client)

    def _let_go(self, client: Client) -> None:
        """Take note that somebody has left."""
        client.close()
        self._clients.remove(client)
        if client.hears and self._watch.once:
            self._end_input()
        if self._watch.tied:
            os.kill(self._state.pid, _SIGKILL)

    def _feed(self) -> None:
        """Write input that waits, as much as is taken."""
        if self._ends.stdin_fd < 0:
            self._input.clear()
            return
        try:
            written = os.write(self._ends.stdin_fd, self._input) if self._input else 0
        except BlockingIOError:
            return
        except OSError:
            written = len(self._input)  # nobody will ever read it
        del self._input[:written]
        if self._input_ended and not self._input:
            self._end_input()

    def _end_input(self) -> None:
        self._input_ended = True
        if not self._input and not self._ends.terminal and self._ends.stdin_fd >= 0:
            os.close(self._ends.stdin_fd)
            self._ends.stdin_fd = -1

    def _resize(self, content: bytes) -> None:
        from onggi.linux import terminal

        rows, columns = content.split(b" ")
        if self._ends.terminal and self._ends.stdin_fd >= 0:
            terminal.set_size(self._ends.stdin_fd, int(rows), int(columns))

    def _drain(self) -> None:
        """Read what the container wrote before it ended; a client that is slow holds up nothing."""
        for fd in list(self._outputs):
            for _ in range(_MOST_DRAINED):  # who else has the pipe may go on writing for ever
                if not self._read(fd):
                    break
        for fd in list(self._outputs):  # a process of it may still hold the other end
            if select.select([fd], [], [], _DRAIN_MS / 1000)[0]:
                self._read(fd)

    def _finish(self) -> None:
        status = ending.wait_status(self._state.pid, self._pidfd)
        final = ending.conclude(self._watch, self._state, status)
        ending.clean_up(self._watch)
        os.close(self._lock_fd)  # nobody has to wait for a client that does not read
        clients.say_last(self._clients, frames.EXIT + jsontext.dumps(final.to_json()).encode())

    def _is_quiet(self) -> bool:
        return not self._input and not any(client.size for client in self._clients)

    def _settle(self) -> None:
        """Go on as a bare interpreter: same process, same children, a third of the memory."""
        fds = (self._ends.stdin_fd, self._ends.stdout_fd, self._ends.stderr_fd)
        kept = [*fds, self._door_fd, self._lock_fd]
        held = [client.fd for client in self._clients]
        for fd in (*kept, *held):
            if fd >= 0:
                os.set_inheritable(fd, True)
        words = [*map(str, kept), str(int(self._input_ended))]
        words += [f"{client.fd}:{client.hears:d}" for client in self._clients]
        os.execv(sys.executable, command("settled", self._watch, self._state, *words))


class Begun:
    """What a monitor must know of a container that its starter started.

    pidfd: its first process. told_fd: a file in memory with the rest, which is read at the first
    need. door_fd: its door. fds: the host's ends of its streams, as `stdio.taken` takes them. The
    descriptors are the monitor's. settle: Order.settle. is_apart: whether it takes nothing from who
    started it, input or size, and outlives them.
    """

    __slots__ = ("door_fd", "fds", "is_apart", "pidfd", "settle", "terminal", "told_fd")

    def __init__(
        self,
        *,
        pidfd: int,
        told_fd: int,
        door_fd: int,
        fds: tuple[int, ...],
        terminal: bool,
        is_apart: bool,
        settle: bool,
    ) -> None:
        self.pidfd = pidfd
        self.told_fd = told_fd
        self.door_fd = door_fd
        self.fds = fds
        self.terminal = terminal
        self.is_apart = is_apart
        self.settle = settle


def look_after(begun: Begun, client_fd: int, lock_fd: int) -> None:
    """Serve a container that was just started until it has ended; everything is cleaned up then.

    As long as nothing happens at all, no page of memory is touched for it.
    """
    if not begun.settle:
        client_fd = _wait_for_anything(begun, client_fd)
    watch, running = _told(begun.told_fd)
    ends = stdio.taken(begun.fds, terminal=begun.terminal)
    monitor = Monitor(
        watch,
        running,
        ends,
        pidfd=begun.pidfd,
        lock_fd=lock_fd,
        door_fd=begun.door_fd,
        attached=[Client(client_fd, hears=watch.attached)] if client_fd >= 0 else [],
    )
    monitor.run(settle=begun.settle)


def _told(fd: int) -> tuple[Watch, State]:
    """Read what the starter wrote for us, and close it."""
    with open(fd, "rb") as file:
        watch, running = jsontext.loads(file.read())
    return Watch(**watch), state.State(**running)


def _wait_for_anything(begun: Begun, client_fd: int) -> int:
    """Wait until there is something to do; return `client_fd`, or -1 if all it did was leave."""
    poller = select.poll()
    for fd in (begun.pidfd, begun.door_fd, client_fd, *begun.fds):
        poller.register(fd, select.POLLIN)
    events = dict(poller.poll())
    if begun.is_apart and events.keys() == {client_fd} and events[client_fd] & select.POLLHUP:
        poller.unregister(client_fd)
        os.close(client_fd)
        client_fd = -1
        poller.poll()
    return client_fd


def command(mode: str, watch: Watch, running: State, *words: str) -> list[str]:
    """Return the command that runs this module as a program, in a bare interpreter.

    All it must know is handed over: what lies in files could have been written by others.
    """
    values = (jsontext.dumps(watch.to_json()), jsontext.dumps(running.to_json()))
    return [*startup.program(__name__), mode, *values, *words]


def main() -> None:
    """Be a monitor: of a container just settled, or of one whose monitor is gone."""
    mode, watching, told, *words = sys.argv[1:]
    _take_name()
    watch, running = Watch(**jsontext.loads(watching)), state.State(**jsontext.loads(told))
    if mode == "settled":
        monitor = _settled(watch, running, words)
    else:
        (lock_fd,) = map(int, words)
        _leave()
        if not running.is_alive():
            ending.conclude(watch, running, None)
            ending.clean_up(watch)
            return
        monitor = _adopting(watch, running, lock_fd)
    monitor.run(settle=False)


def _settled(watch: Watch, running: State, words: list[str]) -> Monitor:
    """Take up what this process held before it became leaner."""
    stdin, stdout, stderr, door, lock, ended = map(int, words[:6])
    is_open = watch.terminal or not ended
    ends = stdio.HostEnds(
        stdin_fd=stdin if is_open else -1,
        stdout_fd=stdout,
        stderr_fd=stderr,
        terminal=watch.terminal,
    )
    held = [word.split(":") for word in words[6:]]
    return Monitor(
        watch,
        running,
        ends,
        pidfd=os.pidfd_open(running.pid),
        lock_fd=lock,
        door_fd=door,
        attached=[Client(int(fd), hears=hears == "1") for fd, hears in held],
    )


def _adopting(watch: Watch, running: State, lock_fd: int) -> Monitor:
    """Look after a container whose monitor was killed."""
    return Monitor(
        watch,
        running,
        stdio.adopted(watch.run_directory, terminal=watch.terminal),
        pidfd=os.pidfd_open(running.pid),
        lock_fd=lock_fd,
        door_fd=door.make(watch.run_directory),
        attached=[],
    )


def _leave() -> None:
    """Go on in a child, whose parent's parent need not wait for it."""
    if os.fork():
        os._exit(0)


def _take_name() -> None:
    """Be called a monitor: execve(2) has named the process after its interpreter."""
    with open("/proc/self/comm", "wb") as file:
        file.write(b"onggi-monitor")
