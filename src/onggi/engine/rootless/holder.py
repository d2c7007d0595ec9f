"""The process that keeps an ordinary user's namespace: one a store, and it does nothing else.

A user namespace lasts as long as a process is in it, and what one container's commands may do to
it, they may as members of the namespace that owns it. So the first command of a store makes the
namespace and leaves a process in it, and every later one joins.

    command                                     child                     holder
    ───────                                     ─────                     ──────
    holds the store's lock
    forks ────────────────────────────────────▶ forks ──────────────────▶ makes the namespace,
                                                ends                      or joins what is left
    ◀──────────────────────────────────────────────────────── its PID
    maps its IDs, perhaps by newuidmap
    "go" ───────────────────────────────────────────────────────────────▶ leaves all behind and
    ◀───────────────────────────────────────────────────── end of file    becomes the sealed program

The holder is `enter` (runtime/stub) waiting for a filter on a pipe whose other end it holds itself:
some kilobytes that wait for ever. It is known by PID, start time and boot, in the store's `run`
directory: a place that depended on the environment would give a user's session and his cron job a
namespace each, in which neither could reach the other's containers.

Source: user_namespaces(7); pidfd_open(2); setns(2).
"""

from __future__ import annotations

import os

from onggi.engine.rootless import own_ids
from onggi.errors import Corrupt, Denied, Unsupported
from onggi.linux import channel, identity, namespace, process, signals
from onggi.oci import jsontext
from onggi.runtime import start
from onggi.runtime.stub import stub
from onggi.store.atomic import read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from onggi.engine.rootless.own_ids import Mapping

FILE = "holder"
_DYING_SECONDS = 5.0


class Holder:
    """A store's holder as it is written down, and which namespace it holds."""

    __slots__ = ("boot", "mapping", "namespace", "pid", "start_ticks")

    def __init__(
        self, *, pid: int, start_ticks: int, boot: str, namespace: int, mapping: Mapping
    ) -> None:
        self.pid = pid
        self.start_ticks = start_ticks
        self.boot = boot
        self.namespace = namespace  # its inode's number
        self.mapping = mapping

    @classmethod
    def read(cls, run: str) -> Holder | None:
        """Return what is written in the run directory `run`; None: nothing.

        Raises: Corrupt
        """
        try:
            data = read_file(f"{run}/{FILE}")
        except FileNotFoundError:
            return None
        try:
            members = jsontext.loads(data)
            kinds = [[tuple(one) for one in members.pop(kind)] for kind in ("uids", "gids")]
            return cls(**members, mapping=own_ids.Mapping(*kinds))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Corrupt(f"{run}/{FILE} does not describe a holder") from error

    def write(self, run: str) -> None:
        """Write it down."""
        members = {name: getattr(self, name) for name in self.__slots__ if name != "mapping"}
        members |= {"uids": self.mapping.uids, "gids": self.mapping.gids}
        write_file(f"{run}/{FILE}", jsontext.dumps(members).encode())

    def hold(self) -> int:
        """Return a pidfd of it, which the caller owns; -1: it is gone."""
        if self.boot != identity.boot_id():
            return -1
        return _pidfd(self.pid, self.start_ticks)

    def hold_another(self) -> int:
        """Return a pidfd of any process that is still in its namespace; -1: there is none."""
        if self.boot != identity.boot_id():
            return -1
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if self._has(pid):
                pidfd = _pidfd(int(pid), 0)
                if pidfd >= 0 and self._has(pid):
                    return pidfd
        return -1

    def _has(self, pid: str) -> bool:
        """Tell whether a process is in the namespace that was held.

        Once that is gone, the kernel gives its number to the next that is made: a browser's, say.
        One that has the same IDs gives the same rights.
        """
        return _namespace(pid) == self.namespace and own_ids.of_process(pid) == self.mapping

    def end(self) -> None:
        """End it, and wait for that; what else is in the namespace goes on."""
        pidfd = self.hold()
        if pidfd >= 0:
            import select

            try:
                process.pidfd_send_signal(pidfd, signals.SIGKILL)
                select.select([pidfd], [], [], _DYING_SECONDS)
            except ProcessLookupError:
                pass  # it ended by itself
            finally:
                os.close(pidfd)


def _pidfd(pid: int, start_ticks: int) -> int:
    try:
        pidfd = process.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    try:
        # The descriptor holds whoever has the number now.
        if identity.start_time_of_living(pid) == start_ticks or not start_ticks:
            return pidfd
    except (FileNotFoundError, ProcessLookupError):
        pass
    os.close(pidfd)
    return -1


def _namespace(pid: str) -> int:
    """Return the number of a process's user namespace; 0 if it has ended or is not ours to see."""
    try:
        return os.stat(f"/proc/{pid}/ns/user").st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


def begin(known: Holder | None) -> Holder:
    """Start a holder, whether of a new namespace or of one whose holder was killed.

    The caller has one thread, and is in no such namespace itself.

    Raises: Unsupported: user namespaces are not to be had; Denied: newuidmap refuses.
    """
    pidfd = known.hold_another() if known is not None else -1
    ids = known.mapping if known is not None and pidfd >= 0 else own_ids.allowed()
    ours, theirs = channel.pair()
    try:
        child = os.fork()
        if child == 0:
            os.close(ours)
            _fork_holder(pidfd, theirs)
        os.close(theirs)
        theirs = -1
        os.waitpid(child, 0)
        return _lead(ours, ids, is_new=pidfd < 0)
    finally:
        for fd in (ours, theirs, pidfd):
            if fd >= 0:
                os.close(fd)


def _lead(ours: int, ids: Mapping, *, is_new: bool) -> Holder:
    message, _ = channel.receive(ours)
    if message[:1] != b"P":
        raise _refused(int(message[1:] or b"5"))
    pid = int(message[1:])
    if is_new:
        ids.apply(pid)
    channel.send(ours, b"go")
    failure, _ = channel.receive(ours)
    if failure:
        raise _refused(int(failure[1:]))
    return Holder(
        pid=pid,
        start_ticks=identity.start_time(pid),
        boot=identity.boot_id(),
        namespace=_namespace(str(pid)),
        mapping=ids,
    )


def _refused(code: int) -> Exception:
    return Unsupported(
        f"an ordinary user cannot have a user namespace here: {os.strerror(code).lower()}",
        hint="see docs/rootless.md for the sysctls that forbid it, or be root",
    )


def _fork_holder(pidfd: int, theirs: int) -> NoReturn:
    """Fork once more, so that the holder is nobody's child to wait for."""
    try:
        if os.fork() == 0:
            _be_holder(pidfd, theirs)
    finally:
        os._exit(0)


def _be_holder(pidfd: int, theirs: int) -> NoReturn:
    try:
        if pidfd >= 0:
            namespace.setns(pidfd, namespace.CLONE_NEWUSER)
        else:
            namespace.unshare(namespace.CLONE_NEWUSER)
        process.set_dumpable(True)  # so that the user may write its maps
        channel.send(theirs, b"P%d" % os.getpid())
        if channel.receive(theirs)[0] == b"go":
            _wait_for_ever(theirs)
    except OSError as error:
        channel.send(theirs, b"E%d" % (error.errno or 5))
    finally:
        os._exit(1)


def _wait_for_ever(theirs: int) -> NoReturn:
    """Leave everything behind, and become a program that reads from itself."""
    os.setsid()
    os.chdir("/")
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    null = os.open("/dev/null", os.O_RDWR)
    start.take_streams((null, null, null))
    start.restore_signals()
    read_fd, write_fd = os.pipe()
    for fd in (read_fd, write_fd):
        os.set_inheritable(fd, True)
    stub_fd = stub.sealed()
    process.close_others((theirs, read_fd, write_fd, stub_fd))
    orders = stub.environment("/", (), filter_fd=read_fd)
    words = [b"onggi-holder", b"--", b"onggi-holder"]
    process.execveat(stub_fd, b"", words, orders, process.AT_EMPTY_PATH)
    raise AssertionError("execveat returned without an error")


def require_covered(known: Holder | None, current: Holder) -> None:
    """Refuse IDs that differ from those that the store's files were written with.

    Raises: Denied
    """
    if known is not None and not current.mapping.covers(known.mapping):
        current.end()
        raise Denied(
            "the store has files of IDs that are not the user's any more",
            hint="give them back in /etc/subuid and /etc/subgid, or remove the store as root",
        )
