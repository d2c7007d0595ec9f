"""Run a further program in a container that runs: the same confinement, by the same steps.

    caller                  usher                               program
    ──────                  ─────                               ───────
    holds the first process
    forks ────────────────▶ enters cgroups and namespaces,
                            gives up what the container's
                            first process gave up
    ◀──────────── "ready"   becomes the sealed program
                            forks a sibling, and ends ────────▶ born in the PID namespace
    ◀───────────────────────────────────── "born"               waits
    knows its PID by that
    "go" ─────────────────────────────────────────────────────▶ session, filter, program
    ◀───────────────────────────────────── report, 4 bytes      it could not be executed
    ◀───────────────────────────────────── end of file          it runs

The usher holds the rights of the host's root for a while and is the host's interpreter, and has no
PID inside: nobody there can name it, so nobody can trace it or open what it is, whatever rights
they were given (CVE-2019-5736). What is born inside is the sealed program (stub.py), with no more
rights than the container has. It does nothing before its parent knows of it, so that no moment at
which one of them may be killed leaves a program that nobody will ever end.
"""

from __future__ import annotations

import os

from onggi.linux import channel, process, procfs
from onggi.runtime import failure, halted, start
from onggi.runtime.plan import process as plans
from onggi.runtime.start import Started
from onggi.runtime.steps import cgroups, devices, namespaces
from onggi.runtime.steps.base import Context
from onggi.runtime.steps.process import LoadFilter, NewSession
from onggi.runtime.stub import stub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, NoReturn

    from onggi.runtime.steps.base import Step
    from onggi.runtime.steps.notify import LateListener


class Entry:
    """A program to run in a container.

    pid and start_ticks: the container's first process. cgroups: its directories. kinds: the
    namespaces that are its own. process: runtime-spec `process`.
    """

    __slots__ = (
        "cgroups",
        "filter_flags",
        "filter_path",
        "identifier",
        "kinds",
        "pid",
        "process",
        "start_ticks",
    )

    def __init__(
        self,
        *,
        identifier: str,
        pid: int,
        start_ticks: int,
        cgroups: tuple[str, ...],
        kinds: tuple[str, ...],
        process: dict[str, Any],
        filter_path: str = "",
        filter_flags: int = 0,
    ) -> None:
        self.identifier = identifier
        self.pid = pid
        self.start_ticks = start_ticks
        self.cgroups = tuple(cgroups)
        self.kinds = tuple(kinds)
        self.process = process
        self.filter_path = filter_path
        self.filter_flags = filter_flags

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON members, for a launcher."""
        return {name: getattr(self, name) for name in self.__slots__}


class EntryPlan:
    """The steps of an entry: the caller's, the usher's, and those that end in the program.

    before: what the usher does while it is not inside yet.
    """

    __slots__ = ("before", "child", "outside", "program")

    def __init__(
        self, outside: list[Step], before: list[Step], child: list[Step], program: list[Step]
    ) -> None:
        self.outside = outside
        self.before = before
        self.child = child
        self.program = program


def plan_entry(entry: Entry, program: bytes) -> EntryPlan:
    """Plan an entry; `program` is the compiled filter. Pure."""
    has_terminal = entry.process.get("terminal")
    terminal: list[Step] = [devices.OpenTerminal.of(entry.process)] if has_terminal else []
    joins: list[Step] = [cgroups.JoinCgroup(path) for path in entry.cgroups]
    enter: Step = namespaces.EnterNamespaces(entry.kinds)
    return EntryPlan(
        outside=[namespaces.HoldProcess(entry.pid, entry.start_ticks)],
        before=[*joins, *plans.plan_bounds(entry.process)],
        child=[enter, devices.OwnNull(), *terminal],
        program=plans.plan_identity(
            entry.process,
            program=program,
            program_flags=entry.filter_flags,
            keyring=entry.identifier,
            init=False,
        ),
    )


def enter(entry: Entry, program: bytes, standard_fds: tuple[int, int, int]) -> Started:
    """Run the program of `entry`; return once it is executed. It is a child of the caller.

    Args: program: the compiled seccomp filter. standard_fds: stay the caller's; not used with a
        terminal.
    Raises: StartFailed.
    """
    return enter_planned(plan_entry(entry, program), entry, standard_fds)


def enter_planned(
    plan: EntryPlan,
    entry: Entry,
    standard_fds: tuple[int, int, int],
    listener: LateListener | None = None,
) -> Started:
    """Run the program of `entry` as `plan` says; otherwise as `enter`.

    Args: listener: who is told of calls that the filter asks about, if it does.
    """
    ours, theirs = channel.pair()
    channel.name_senders(ours)
    terminal = bool(entry.process.get("terminal"))

    def hear_all(usher: int) -> Started:
        if listener is None:
            return hear(ours, usher, plan.program[-1])
        return _hear_watched(ours, usher, plan.program[-1], listener)

    try:
        return start.led(
            ours,
            theirs,
            lambda: _fork(plan, entry.cgroups, standard_fds, theirs, ours, terminal=terminal),
            hear_all,
        )
    finally:
        if listener is not None:
            listener.close()


def _hear_watched(ours: int, usher: int, execute: Step, listener: LateListener) -> Started:
    """Listen as `hear`, and tell `listener` of the program once its PID is known."""

    def meet(message: bytes) -> bool:
        return listener.answer(message, ours, usher)

    return hear(ours, usher, execute, meet, listener.tell)


def hear(
    ours: int,
    usher: int,
    execute: Step,
    meet: Callable[[bytes], bool] | None = None,
    know: Callable[[int], None] | None = None,
) -> Started:
    """Listen until the program runs, and wait for the usher's end.

    Args: meet: called with a message of the usher's, tells whether it asked the host for something.
        know: called with the PID of what was born, which does nothing before it returns.
    Raises: StartFailed: what the usher told, or what the sealed program reported of `execute`; or
        that was stopped, and has been killed.
    """
    heard = Heard(meet, know)

    def receive() -> tuple[bytes, list[int], int]:
        return channel.receive_from(ours)

    try:
        while heard.take(ours, *halted.listen(ours, receive, heard.born)):
            pass
    except BaseException:
        heard.discard()
        start.end(usher)
        raise
    status = start.wait_status(usher)
    if heard.report or not heard.pid:
        heard.discard()
        if heard.report:
            raise failure.from_error("program", execute, stub.failure(heard.report))
        raise failure.died(status)
    return Started(heard.pid, heard.terminal_fd)


class Heard:
    """What was told of a program on its way into a container."""

    __slots__ = ("is_ready", "know", "meet", "pid", "report", "terminal_fd")

    def __init__(
        self,
        meet: Callable[[bytes], bool] | None = None,
        know: Callable[[int], None] | None = None,
    ) -> None:
        self.meet = meet
        self.know = know
        self.terminal_fd = -1
        self.is_ready = False
        self.pid = 0
        self.report = b""

    def take(self, ours: int, message: bytes, fds: list[int], sender: int) -> bool:
        """Take a message, and answer it if that is waited for; tell whether more may come.

        After "ready" somebody inside may have got at the other end, if he may trace: so what is
        said then is believed as far as it can be seen to be true.

        Raises: StartFailed: the usher told of one.
        """
        if message == b"terminal" and self.terminal_fd < 0 and len(fds) == 1:
            self.terminal_fd = fds[0]
            return True
        for fd in fds:
            os.close(fd)
        if not message:
            return False
        if self.is_ready:
            return self._take_of_born(ours, message, sender)
        if message == b"ready":
            self.is_ready = True
        elif self.meet is None or not self.meet(message):
            raise failure.decode(message) or failure.died(None)
        return True

    def _take_of_born(self, ours: int, message: bytes, sender: int) -> bool:
        if message == stub.BIRTH and not self.pid:
            self.pid = _child(sender)
            if self.pid:
                if self.know is not None:
                    self.know(self.pid)
                _answer(ours)
        elif len(message) == stub.REPORT_BYTES and not self.report:
            self.report = message
        else:
            raise failure.decode(message) or failure.died(None)
        return True

    def born(self) -> list[int]:
        """List what may have been born by now."""
        return [self.pid] if self.pid else halted.sealed_children()

    def discard(self) -> None:
        """End what was born, and close what came along."""
        if self.pid:
            start.end(self.pid)
        if self.terminal_fd >= 0:
            os.close(self.terminal_fd)


def _answer(ours: int) -> None:
    """Say that it is known whose child that is."""
    try:
        channel.send(ours, stub.KNOWN)
    except BrokenPipeError:
        pass  # its filter or somebody else has ended it, as its wait status will say


def _child(pid: int) -> int:
    """Return `pid` if a child of ours has it, else 0."""
    if pid <= 0:
        return 0
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (ChildProcessError, OverflowError):
        return 0
    return pid


def _fork(
    plan: EntryPlan,
    directories: tuple[str, ...],
    standard_fds: tuple[int, int, int],
    theirs: int,
    ours: int,
    *,
    terminal: bool,
) -> int:
    """Fork the usher."""
    context = Context()
    context.report_fd = theirs
    context.stub_fd = stub.sealed()
    try:
        failure.apply_steps("host", plan.outside, context)
        pid = start.fork_into(directories, context)
        if pid == 0:
            os.close(ours)
            _usher(plan, standard_fds, context, terminal=terminal)
        return pid
    finally:
        for fd in (context.stub_fd, context.pidfd):
            if fd >= 0:
                os.close(fd)


def _usher(
    plan: EntryPlan, standard_fds: tuple[int, int, int], context: Context, *, terminal: bool
) -> NoReturn:
    """Enter, give up rights, and have the program born; never returns."""
    *before, execute = plan.program

    def usher() -> None:
        start.forbid_imports()
        start.restore_signals()
        os.umask(start.UMASK)
        process.set_pdeathsig(start.SIGKILL)
        failure.apply_steps("container", plan.before, context)
        # Not sooner: an ordinary user's process may not write to its files in /proc from then on.
        process.set_dumpable(False)
        if not terminal:
            start.take_streams(standard_fds)
        context.proc_fd = procfs.open_proc()
        failure.apply_steps("container", [*plan.child, *inherited(before, context)], context)
        bear(execute, context, terminal=terminal)

    start.reporting(usher, context)


def bear(execute: Step, context: Context, *, terminal: bool) -> None:
    """Become the sealed program, which has the user's born; returns only by raising."""
    if terminal:
        start.take_streams((context.terminal_fd,) * 3)
    context.mode = stub.BORN_ON_TERMINAL if terminal else stub.BORN
    channel.send(context.report_fd, b"ready")
    failure.apply_steps("program", [execute], context)


def inherited(steps: list[Step], context: Context) -> Iterator[Step]:
    """Yield those of the last steps that the usher takes: a child inherits what they do.

    The session is the sealed program's to make, and to load the filter that comes last. Any other
    filter is loaded here, and must allow what is left to do: execveat, clone, write, read, setsid;
    where there is a socket to wait at, also fcntl, close and accept4.
    """
    for step in steps:
        if isinstance(step, NewSession):
            continue
        if isinstance(step, LoadFilter) and step is steps[-1] and step.flags == stub.FILTER_FLAGS:
            context.filter_fd = process.memory_file("onggi-filter", step.program)
        else:
            yield step
