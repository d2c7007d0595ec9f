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
import time

from onggi import startup
from onggi.oci import jsontext
from onggi.runtime import frames, rundir, state, stdio
from onggi.runtime.log import LogWriter
from onggi.runtime.order import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.state import State
    from onggi.runtime.stdio import HostEnds

_MOST_PENDING = 8 * frames.MOST_BYTES  # held for a reader or a program that is slow
_SETTLE_MS = 1000
_SIGKILL = 9
_MOST_DRAINED = (1 << 20) // frames.MOST_BYTES + 1  # reads: a pipe holds a mebibyte at most
_REAP_SECONDS = 5.0  # how long a process's own parent may take to wait for it
_AT_THE_END = ("onggi.linux.cgroup", "onggi.resources.measure")  # are imported then
_DRAIN_MS = 20  # how long output may still be on its way once the first process has ended


class Client:
    """Whoever is attached: messages to it wait here while it is slow, and it may go any time."""

    __slots__ = ("fd", "pending", "size")

    def __init__(self, fd: int) -> None:
        self.fd = fd  # -1: nobody, or no more
        self.pending: list[bytes] = []
        self.size = 0
        if fd >= 0:
            os.set_blocking(fd, False)

    def send(self, message: bytes) -> None:
        """Send `message` now or as soon as it can be taken."""
        if self.fd >= 0:
            self.pending.append(message)
            self.size += len(message)
            self.flush()

    def flush(self) -> None:
        """Send what can be taken now."""
        while self.pending and self.fd >= 0:
            try:
                os.write(self.fd, self.pending[0])
            except BlockingIOError:
                return
            except OSError:
                self.close()  # it went away; the container does not care
                return
            self.size -= len(self.pending.pop(0))

    def is_behind(self) -> bool:
        """Tell whether no more should be read for it, so that the writer waits as on a pipe."""
        return self.size >= _MOST_PENDING

    def close(self) -> None:
        """Let it go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.pending.clear()
        self.size = 0


class Monitor:
    """Looks after one container whose first process runs."""

    def __init__(
        self,
        watch: Watch,
        running: State,
        ends: HostEnds,
        *,
        pidfd: int,
        client_fd: int,
        lock_fd: int,
    ) -> None:
        self._watch = watch
        self._state = running
        self._ends = ends
        self._client = Client(client_fd)
        self._lock_fd = lock_fd
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
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        if not self._client.is_behind():
            for fd in self._outputs:
                poller.register(fd, select.POLLIN)
        if self._client.fd >= 0:
            wanted = select.POLLIN if len(self._input) < _MOST_PENDING else 0
            poller.register(self._client.fd, wanted | (select.POLLOUT if self._client.size else 0))
        if self._input and self._ends.stdin_fd >= 0:
            # A terminal is read and written through the same descriptor.
            is_read = self._ends.stdin_fd in self._outputs and not self._client.is_behind()
            both = select.POLLIN if is_read else 0
            poller.register(self._ends.stdin_fd, select.POLLOUT | both)
        return poller

    def _serve(self, fd: int) -> None:
        if fd == self._client.fd:
            self._client.flush()
            self._hear()
            return
        if fd == self._ends.stdin_fd:
            self._feed()
        if fd in self._outputs and not self._client.is_behind():
            self._read(fd)

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
        if self._watch.attached:
            self._client.send(kind + data)
        return True

    def _close_output(self, fd: int) -> None:
        del self._outputs[fd]
        self._ends.forget(fd)
        os.close(fd)

    def _hear(self) -> None:
        """Take one message of whoever is attached."""
        if self._client.fd < 0:
            return
        try:
            message = os.read(self._client.fd, 2 * frames.MOST_BYTES)
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
            self._client.close()
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

    def _flush_slowly(self) -> None:
        if self._client.fd >= 0:
            os.set_blocking(self._client.fd, True)
            self._client.flush()

    def _finish(self) -> None:
        final = conclude(self._watch, self._state, wait_status(self._state.pid, self._pidfd))
        clean_up(self._watch)
        os.close(self._lock_fd)  # nobody has to wait for a client that does not read
        self._flush_slowly()
        self._client.send(frames.EXIT + jsontext.dumps(final.to_json()).encode())
        self._client.close()

    def _is_quiet(self) -> bool:
        return not self._input and not self._client.size

    def _settle(self) -> None:
        """Go on as a bare interpreter: same process, same children, a third of the memory."""
        fds = (self._ends.stdin_fd, self._ends.stdout_fd, self._ends.stderr_fd)
        kept = [*fds, self._client.fd, self._lock_fd]
        for fd in kept:
            if fd >= 0:
                os.set_inheritable(fd, True)
        words = [*map(str, kept), str(int(self._input_ended))]
        os.execv(sys.executable, command("settled", self._watch, self._state, *words))


class Begun:
    """What a monitor must know of a container that its starter started.

    pidfd: its first process. told_fd: a file in memory with the rest, which is read at the first
    need. fds: the host's ends of its streams, as `stdio.taken` takes them. The descriptors are the
    monitor's. settle: Order.settle. is_apart: whether it takes nothing from who is attached, input
    or size, and outlives them.
    """

    __slots__ = ("fds", "is_apart", "pidfd", "settle", "terminal", "told_fd")

    def __init__(
        self,
        *,
        pidfd: int,
        told_fd: int,
        fds: tuple[int, ...],
        terminal: bool,
        is_apart: bool,
        settle: bool,
    ) -> None:
        self.pidfd = pidfd
        self.told_fd = told_fd
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
    monitor = Monitor(watch, running, ends, pidfd=begun.pidfd, client_fd=client_fd, lock_fd=lock_fd)
    monitor.run(settle=begun.settle)


def _told(fd: int) -> tuple[Watch, State]:
    """Read what the starter wrote for us, and close it."""
    with open(fd, "rb") as file:
        watch, running = jsontext.loads(file.read())
    return Watch(**watch), state.State(**running)


def _wait_for_anything(begun: Begun, client_fd: int) -> int:
    """Wait until there is something to do; return `client_fd`, or -1 if all it did was leave."""
    poller = select.poll()
    for fd in (begun.pidfd, client_fd, *begun.fds):
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
        stdin, stdout, stderr, client, lock, ended = map(int, words)
        terminal = watch.terminal
        ends = stdio.HostEnds(stdin_fd=stdin, stdout_fd=stdout, stderr_fd=stderr, terminal=terminal)
        if ended:
            ends.stdin_fd = -1 if not terminal else stdin
    else:
        client = -1
        (lock,) = map(int, words)
        _leave()
        if not running.is_alive():
            conclude(watch, running, None)
            clean_up(watch)
            return
        ends = stdio.adopted(watch.run_directory, terminal=watch.terminal)
    pidfd = os.pidfd_open(running.pid)
    monitor = Monitor(watch, running, ends, pidfd=pidfd, client_fd=client, lock_fd=lock)
    monitor.run(settle=False)


def _leave() -> None:
    """Go on in a child, whose parent's parent need not wait for it."""
    if os.fork():
        os._exit(0)


def _take_name() -> None:
    """Be called a monitor: execve(2) has named the process after its interpreter."""
    with open("/proc/self/comm", "wb") as file:
        file.write(b"onggi-monitor")


def wait_status(pid: int, pidfd: int) -> int | None:
    """Return how `pid` ended, as waitpid says it; it has ended already.

    Of somebody else's child (its first monitor was killed) the kernel tells only once its parent
    has waited for it, and kernels before 6.15 never: then None.
    """
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return _status_of_another(pidfd)


def _status_of_another(pidfd: int) -> int | None:
    from onggi.linux import pidfd as facts

    deadline = time.monotonic() + _REAP_SECONDS
    while True:
        try:
            return facts.exit_status(pidfd)
        except ProcessLookupError:
            if time.monotonic() > deadline:
                return None
            time.sleep(_REAP_SECONDS / 1000)
        except OSError:
            return None


def load_end() -> None:
    """Import all that the end of a container takes, before it comes."""
    from onggi.runtime import after

    for module in _AT_THE_END:
        __import__(module)
    after.load()


def conclude(watch: Watch, running: State, status: int | None) -> State:
    """Write down how the container ended; None is an end that nobody saw."""
    from onggi.resources import measure

    oom_killed = measure.oom_kills(watch.cgroups) > 0
    if status is None:
        final = state.lost(running)
    else:
        final = state.ended(running, status, oom_killed=oom_killed)
    state.write(watch.directory, final)
    return final


def clean_up(watch: Watch) -> None:
    """Remove what the container had beside its files: cgroups, pipes; do what comes after.

    Idempotent: whatever is gone already is fine, so that it can be done again after a crash.
    """
    from onggi.linux import cgroup

    for path in reversed(watch.cgroups):
        cgroup.clear(path)
    if watch.after:
        from onggi.runtime import after

        after.carry_out(*watch.after)
    rundir.remove(watch.run_directory)  # last: while it is there, something is left to be done
