"""Run a further program in a container that runs: the same confinement, by the same steps.

    caller                  usher                               program
    ──────                  ─────                               ───────
    holds the first process
    forks ────────────────▶ enters cgroups and namespaces,
                            gives up what the container's
                            first process gave up
                            forks a sibling ──────────────────▶ born in the PID namespace
    ◀────── "forked" + PID  lets it go, and ends ─────────────▶ session, filter, program
    hears (start.py) ◀──────────────────────────────────────── "ready", and so on

The usher holds the rights of the host's root for a while, and has no PID inside: nobody there can
name it, so nobody can trace it, whatever rights they were given. What is born inside has no more
rights than they.
"""

from __future__ import annotations

import os

from onggi.linux import channel, clone, process
from onggi.runtime import failure, start
from onggi.runtime.plan import process as plans
from onggi.runtime.start import Started
from onggi.runtime.steps import cgroups, devices, namespaces
from onggi.runtime.steps.base import Context
from onggi.runtime.steps.process import Execute, LoadFilter, NewSession
from onggi.runtime.stub import stub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from onggi.runtime.steps.base import Step

_FORKED = b"forked "
_OWN = (NewSession, LoadFilter, Execute)


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
    """The steps of an entry, by who takes them: the caller, the usher, the program.

    `program` is divided at the last moment (see `divided`): the usher takes of it what it can.
    """

    __slots__ = ("child", "outside", "program")

    def __init__(self, outside: list[Step], child: list[Step], program: list[Step]) -> None:
        self.outside = outside
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
        child=[*joins, *plans.plan_bounds(entry.process), enter, devices.OwnNull(), *terminal],
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


def enter_planned(plan: EntryPlan, entry: Entry, standard_fds: tuple[int, int, int]) -> Started:
    """Run the program of `entry` as `plan` says; otherwise as `enter`."""
    ours, theirs = channel.pair()
    try:
        terminal = bool(entry.process.get("terminal"))
        usher = _fork(plan, entry.cgroups, standard_fds, theirs, ours, terminal=terminal)
        os.close(theirs)
        theirs = -1
        return _hear(ours, usher, plan.program[-1])
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def _hear(ours: int, usher: int, execute: Step) -> Started:
    started = _hear_usher(ours, usher)
    try:
        start.hear(ours, started.pid, execute)
    except BaseException:
        start.end(started.pid)
        if started.terminal_fd >= 0:
            os.close(started.terminal_fd)
        raise
    return started


def _hear_usher(ours: int, usher: int) -> Started:
    """Listen to the usher until it has forked the program, and wait for its end.

    Raises: StartFailed: what it told.
    """
    terminal_fd = -1
    try:
        while True:
            message, fds = channel.receive(ours)
            if message == b"terminal" and len(fds) == 1:
                (terminal_fd,) = fds
            elif message.startswith(_FORKED):
                return Started(int(message[len(_FORKED) :]), terminal_fd)
            else:
                raise failure.decode(message) or failure.died(start.wait_status(usher))
    except BaseException:
        if terminal_fd >= 0:
            os.close(terminal_fd)
        raise
    finally:
        _reap(usher)


def _reap(usher: int) -> None:
    try:
        os.waitpid(usher, 0)  # it has said its last word
    except ChildProcessError:
        pass  # its wait status was asked for


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
    """Enter, give up rights, and fork the program; never returns."""
    before, own = divided(plan.program)

    def usher() -> None:
        start.shield()
        os.umask(start.UMASK)
        process.set_pdeathsig(start.SIGKILL)
        if not terminal:
            start.take_streams(standard_fds)
        failure.apply_steps("container", [*plan.child, *before], context)
        _close_others(context, plan.program[-1])
        _fork_program(own, context)

    start.reporting(usher, context)


def _fork_program(own: list[Step], context: Context) -> None:
    """Fork the program's process as a child of our parent, and tell that of it before it speaks."""
    told, telling = os.pipe2(os.O_CLOEXEC)

    def enter() -> None:
        os.close(telling)
        process.set_pdeathsig(start.SIGKILL)
        if not os.read(told, 1):
            os._exit(1)  # the usher is gone, and nobody knows of us
        os.close(told)

    pid = clone.fork(clone.CLONE_PARENT)
    if pid == 0:
        start.confined(enter, own, context)
    channel.send(context.report_fd, _FORKED + b"%d" % pid)
    os.write(telling, b"\0")


def divided(program: list[Step]) -> tuple[list[Step], list[Step]]:
    """Divide the last steps into those that a child inherits, and those of the program's process.

    A filter might not allow what the usher still has to call, so what follows one follows it here.
    """
    before: list[Step] = []
    own: list[Step] = []
    for step in program:
        is_filtered = any(isinstance(earlier, LoadFilter) for earlier in own)
        (own if is_filtered or isinstance(step, _OWN) else before).append(step)
    return before, own


def _close_others(context: Context, execute: Step) -> None:
    """Close what the program's process needs not have: it may be looked at from inside."""
    passed = range(3, 3 + getattr(execute, "passed_fds", 0))
    needed = (context.report_fd, context.stub_fd, context.terminal_fd)
    process.close_others([*passed, *(fd for fd in needed if fd >= 0)])
