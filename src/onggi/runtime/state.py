"""The state of a container, as its monitor writes it down and anyone may read it.

One small JSON document, replaced whole; what it says of a running process is checked against the
process itself (this boot, its start time), since a PID may have been given to another. It says
nothing of where things lie: that follows from the container's ID and its record, and nobody's
directory is removed because of what stands here.
"""

from __future__ import annotations

import errno
import os
import time

from onggi.errors import Corrupt
from onggi.linux import identity
from onggi.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE = "state.json"
_ROOM_BYTES = 1024

CREATED = "created"
RUNNING = "running"
EXITED = "exited"
REMOVING = "removing"

UNKNOWN_EXIT = 255  # what Docker says of an end that nobody saw


class State:
    """What is known of a container's process.

    Times are nanoseconds since the epoch, 0 for never; `start_ticks` is field 22 of
    /proc/PID/stat, in clock ticks since the boot whose random name is `boot_id`. `exit_code` is
    the program's own, or 128 plus the number of the signal that ended it.
    """

    __slots__ = (
        "boot_id",
        "error",
        "exit_code",
        "finished_ns",
        "oom_killed",
        "pid",
        "signal",
        "start_ticks",
        "started_ns",
        "status",
        "volumes",
    )

    def __init__(
        self,
        *,
        status: str = CREATED,
        pid: int = 0,
        start_ticks: int = 0,
        boot_id: str = "",
        started_ns: int = 0,
        finished_ns: int = 0,
        exit_code: int = 0,
        signal: int = 0,
        oom_killed: bool = False,
        error: str = "",
        volumes: bool = False,
    ) -> None:
        self.status = status
        self.pid = pid
        self.start_ticks = start_ticks
        self.boot_id = boot_id
        self.started_ns = started_ns
        self.finished_ns = finished_ns
        self.exit_code = exit_code
        self.signal = signal
        self.oom_killed = oom_killed
        self.error = error
        self.volumes = volumes  # while it is removed: whether those that nobody named go as well

    def to_json(self) -> dict[str, Any]:
        """Return the document's members."""
        return {name: getattr(self, name) for name in self.__slots__}

    def is_alive(self) -> bool:
        """Tell whether the process is still the one that was started."""
        if self.status != RUNNING:
            return False
        try:
            began = identity.start_time_of_living(self.pid)
        except OSError:
            return False
        # Counted from boot: after another one, the same number may stand for somebody else.
        return began == self.start_ticks and identity.boot_id() == self.boot_id


def read(directory: str) -> State:
    """Return the state in `directory`; a container that was never started has none yet.

    Raises: Corrupt: what is there was not written by `write`.
    """
    path = f"{directory}/{FILE}"
    try:
        with open(path, "rb") as file:
            members = jsontext.loads(file.read())
    except FileNotFoundError:
        return State()
    except ValueError as error:
        raise Corrupt(f"{path} is not a container's state") from error
    if not _is_state(members):
        raise Corrupt(f"{path} is not a container's state")
    return State(**{name: members[name] for name in State.__slots__ if name in members})


def _is_state(members: object) -> bool:
    """Tell whether each member is of the kind that it should be."""
    if not isinstance(members, dict):
        return False
    plain = State().to_json()
    return all(type(members.get(name, usual)) is type(usual) for name, usual in plain.items())


def write(directory: str, state: State) -> None:
    """Replace the state in `directory`, whole or not at all.

    Not synced: after a power loss no process of that boot runs, and what runs is all that this
    document is believed about without a second look.

    A container ends on a full disk, too: then the document is written over where it lies, for
    which it is always of one size.
    """
    path = f"{directory}/{FILE}"
    data = jsontext.dumps(state.to_json()).encode().ljust(_ROOM_BYTES)
    temporary = f"{directory}/.{FILE}.{os.getpid()}"
    try:
        _write(temporary, os.O_CREAT | os.O_TRUNC, data)
        os.rename(temporary, path)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not os.path.exists(path):
            raise
        _write(path, 0, data)


def _write(path: str, flags: int, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    try:
        if os.write(fd, data) != len(data):  # write(2): no room for all of it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(fd)


def running(pid: int) -> State:
    """Return the state of a container whose process `pid` has just begun."""
    return State(
        status=RUNNING,
        pid=pid,
        start_ticks=identity.start_time(pid),
        boot_id=identity.boot_id(),
        started_ns=time.time_ns(),
    )


def removing(*, volumes: bool) -> State:
    """Return the state of a container that is on its way out."""
    return State(status=REMOVING, volumes=volumes)


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
