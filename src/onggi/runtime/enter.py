"""Run a further program in a container that runs: the same confinement, by the same steps.

The caller forks once: the child is placed in the container's cgroups, enters its namespaces, gives
up what the container's first process gave up, and becomes the program. The caller stays its parent.
"""

from __future__ import annotations

import os

from onggi.linux import channel, namespace, process
from onggi.runtime import failure, start
from onggi.runtime.plan import process as plans
from onggi.runtime.start import Started
from onggi.runtime.steps import cgroups, devices, namespaces
from onggi.runtime.steps.base import Context
from onggi.runtime.stub import stub

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.steps.base import Step


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
    """The steps of an entry, by who takes them: the parent, and the child before and after."""

    __slots__ = ("child", "outside", "program")

    def __init__(self, outside: list[Step], child: list[Step], program: list[Step]) -> None:
        self.outside = outside
        self.child = child
        self.program = program


def plan_entry(entry: Entry, program: bytes) -> EntryPlan:
    """Plan an entry; `program` is the compiled filter. Pure."""
    later = tuple(kind for kind in entry.kinds if kind != "pid")
    has_terminal = entry.process.get("terminal")
    terminal: list[Step] = [devices.OpenTerminal.of(entry.process)] if has_terminal else []
    joins: list[Step] = [cgroups.JoinCgroup(path) for path in entry.cgroups]
    now: list[Step] = [namespaces.EnterNamespaces(("pid",))] if "pid" in entry.kinds else []
    enter: Step = namespaces.EnterNamespaces(later)
    return EntryPlan(
        outside=[namespaces.HoldProcess(entry.pid, entry.start_ticks), *now],
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
        pid = _fork(plan, entry.cgroups, standard_fds, theirs, ours, terminal=terminal)
        os.close(theirs)
        theirs = -1
        try:
            return start.hear(ours, pid, plan.program[-1])
        except BaseException:
            start.end(pid)
            raise
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def _fork(
    plan: EntryPlan,
    directories: tuple[str, ...],
    standard_fds: tuple[int, int, int],
    theirs: int,
    ours: int,
    *,
    terminal: bool,
) -> int:
    """Fork into the container's PID namespace, and come back out of it for our own children."""
    context = Context()
    context.report_fd = theirs
    context.stub_fd = stub.sealed()
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        failure.apply_steps("host", plan.outside, context)
        pid = start.fork_into(directories, context)
        if pid == 0:
            os.close(ours)
            _become(plan, standard_fds, context, terminal=terminal)
        namespace.setns(own, 0)
        return pid
    finally:
        for fd in (own, context.stub_fd, context.pidfd):
            if fd >= 0:
                os.close(fd)


def _become(
    plan: EntryPlan, standard_fds: tuple[int, int, int], context: Context, *, terminal: bool
) -> None:
    def steps() -> None:
        process.set_pdeathsig(start.SIGKILL)
        if not terminal:
            start.take_streams(standard_fds)
        failure.apply_steps("container", plan.child, context)

    start.confined(steps, plan.program, context)
