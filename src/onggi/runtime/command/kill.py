"""`kill`: send a signal to the first process of a container, or to all of them."""

from __future__ import annotations

import os

from onggi.errors import Conflict, InvalidInput, Unsupported
from onggi.linux import cgroup, freezer, process, signals
from onggi.runtime.command import record
from onggi.runtime.command.words import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

# `delete` has it, too.
BY_REGEX = Option("regex", "", "CONTAINER is a regular expression: all that match", short="r")
COMMAND = Command(
    "CONTAINER [SIGNAL]",
    1,
    2,
    Option("all", "", "Send it to every process of the container", short="a"),
    BY_REGEX,
)


class Ended(Conflict):
    """The container has no process any more, or none yet."""

    def __init__(self) -> None:
        super().__init__("container not running")


def execute(words: Words, runtime: Runtime) -> int:
    """Send the signal, TERM unless another is named, to a container or to each that matches."""
    named, *given = words.arguments
    number = _signal(given[0] if given else "SIGTERM")
    every = words.has("all")
    if words.has("regex"):
        from onggi.runtime.command import matching

        return matching.each(named, runtime, lambda one: _kill(one, runtime, number, every=every))
    _kill(named, runtime, number, every=every)
    return 0


def _kill(identifier: str, runtime: Runtime, number: int, *, every: bool) -> None:
    known = record.read(runtime.root, identifier)
    if every:
        _send_all(known, number)
        return
    if record.status(runtime.root, known) in (record.STOPPED, record.CREATING):
        raise Ended
    send(known, number)


def _signal(word: str) -> int:
    """Return the number of a signal; 0, which is none, asks whether there is a process."""
    if word == "0":
        return 0
    try:
        return signals.parse(word)
    except ValueError:
        raise InvalidInput(f"unknown signal {word!r}", hint="such as KILL, SIGTERM or 15") from None


def send(known: Record, number: int) -> None:
    """Send a signal to the first process, and to no other that has its number by now.

    Without a PID namespace of its own, what it started would outlive its end by SIGKILL; so all
    processes of its cgroups get that, if it has some.

    Raises: Ended.
    """
    if number == signals.SIGKILL and "pid" not in known.kinds and known.cgroups:
        _send_all(known, number)
        return
    try:
        fd = process.pidfd_open(known.pid)
    except ProcessLookupError:
        raise Ended from None
    try:
        if process.start_time(known.pid) != known.start_ticks:
            raise Ended
        process.pidfd_send_signal(fd, number)
    except (FileNotFoundError, ProcessLookupError):
        raise Ended from None
    finally:
        os.close(fd)
    _let_die(known, number)


def _let_die(known: Record, number: int) -> None:
    """Thaw what is frozen in v1, where even SIGKILL waits for that. Source: runc issue 4394."""
    path = freezer.find(known.cgroups) if number == signals.SIGKILL else ""
    if path and not os.path.exists(f"{path}/cgroup.freeze"):
        freezer.thaw(path)


def _send_all(known: Record, number: int) -> None:
    if number == signals.SIGKILL and known.cgroups:
        for path in known.cgroups:
            cgroup.kill(path)
        return
    from onggi.linux.members import signal_each

    signal_each(members(known), number, lambda: members(known))


def members(known: Record) -> list[int]:
    """List the processes of a container, by its cgroups and those below them.

    Raises: Unsupported: it has none, nor a PID namespace of its own.
    """
    if not known.cgroups:
        return _by_namespace(known)
    found: set[int] = set()
    for path in known.cgroups[:1]:
        found.update(cgroup.tree_processes(path))
    return sorted(found - {0})


def _by_namespace(known: Record) -> list[int]:
    from onggi.linux import pid_namespace

    if "pid" not in known.kinds:
        raise Unsupported(
            "the container's processes can't be told from others:"
            " it has neither control groups nor a PID namespace of its own"
        )
    try:
        pids = pid_namespace.processes(known.pid)
        same = process.start_time(known.pid) == known.start_ticks
    except (FileNotFoundError, ProcessLookupError):
        return []
    return pids if same else []
