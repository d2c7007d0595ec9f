"""The state of a container, as its monitor writes it down and anyone may read it.

One small JSON document, replaced whole; what it says of a running process is checked against the
process itself (its start time), since a PID may have been given to another.
"""

from __future__ import annotations

import os
import time

from onggi.linux import identity
from onggi.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE = "state.json"

CREATED = "created"
RUNNING = "running"
EXITED = "exited"

UNKNOWN_EXIT = 255  # what Docker says of an end that nobody saw


class State:
    """What is known of a container's process.

    Times are nanoseconds since the epoch, 0 for never; `start_ticks` is field 22 of
    /proc/PID/stat, in clock ticks since boot. `exit_code` is the program's own, or 128 plus the
    number of the signal that ended it.
    """

    __slots__ = (
        "error",
        "exit_code",
        "finished_ns",
        "oom_killed",
        "pid",
        "signal",
        "start_ticks",
        "started_ns",
        "status",
        "watch",
    )

    def __init__(
        self,
        *,
        status: str = CREATED,
        pid: int = 0,
        start_ticks: int = 0,
        started_ns: int = 0,
        finished_ns: int = 0,
        exit_code: int = 0,
        signal: int = 0,
        oom_killed: bool = False,
        error: str = "",
        watch: dict[str, Any] | None = None,
    ) -> None:
        self.status = status
        self.pid = pid
        self.start_ticks = start_ticks
        self.started_ns = started_ns
        self.finished_ns = finished_ns
        self.exit_code = exit_code
        self.signal = signal
        self.oom_killed = oom_killed
        self.error = error
        self.watch = watch or {}  # while it runs: what a new monitor would need (order.Watch)

    def to_json(self) -> dict[str, Any]:
        """Return the document's members."""
        return {name: getattr(self, name) for name in self.__slots__}

    def is_alive(self) -> bool:
        """Tell whether the process is still the one that was started."""
        if self.status != RUNNING:
            return False
        try:
            return identity.start_time(self.pid) == self.start_ticks
        except OSError:
            return False


def read(directory: str) -> State:
    """Return the state in `directory`; a container that was never started has none yet."""
    try:
        with open(f"{directory}/{FILE}", "rb") as file:
            members = jsontext.loads(file.read())
    except FileNotFoundError:
        return State()
    return State(**{name: members[name] for name in State.__slots__ if name in members})


def write(directory: str, state: State) -> None:
    """Replace the state in `directory`, whole or not at all.

    Not synced: after a power loss no process of that boot runs, and what runs is all that this
    document is believed about without a second look.
    """
    temporary = f"{directory}/.{FILE}.{os.getpid()}"
    with open(temporary, "wb") as file:
        file.write(jsontext.dumps(state.to_json()).encode())
    os.rename(temporary, f"{directory}/{FILE}")


def running(pid: int, watch: dict[str, Any]) -> State:
    """Return the state of a container whose process `pid` has just begun."""
    return State(
        status=RUNNING,
        pid=pid,
        start_ticks=identity.start_time(pid),
        started_ns=time.time_ns(),
        watch=watch,
    )


def lost(before: State) -> State:
    """Return the state of a container that has ended while nobody was there to see how."""
    return State(
        status=EXITED,
        started_ns=before.started_ns,
        finished_ns=time.time_ns(),
        exit_code=UNKNOWN_EXIT,
        error="the container ended while its monitor was gone",
    )


def ended(before: State, wait_status: int, *, oom_killed: bool) -> State:
    """Return the state after `before`'s process ended with `wait_status`, as waitpid gave it."""
    code = os.waitstatus_to_exitcode(wait_status)
    return State(
        status=EXITED,
        started_ns=before.started_ns,
        finished_ns=time.time_ns(),
        exit_code=128 - code if code < 0 else code,
        signal=-code if code < 0 else 0,
        oom_killed=oom_killed,
    )
