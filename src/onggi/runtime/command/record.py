"""What is remembered of a container between commands, and what is true of it now.

    ROOT/ID/state.json     the record, replaced whole
    ROOT/ID/config.json    the configuration as it was at creation: later changes don't count
    ROOT/ID/start          the socket at which the first process waits; gone once it was started
    ROOT/ID/starting       the same while somebody starts it, who may be killed at that

A record says which process a container has; whether that lives, waits or is frozen is looked up.
A process is named by its PID, its start time and the boot, so that no other is taken for it.

Source: runtime-spec runtime.md, "State", "Lifecycle".
"""

from __future__ import annotations

import fcntl
import os
import time

from onggi.errors import AlreadyExists, Corrupt, InvalidInput, NotFound
from onggi.linux import cgroup, directories, identity
from onggi.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

SCHEMA = 1
STATE = "state.json"
CONFIG = "config.json"
SOCKET = "start"
_TAKEN = "starting"

CREATING = "creating"
CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+,-.")
_HALF_MADE = "~new-"  # no container's name begins so
_PATIENCE_SECONDS = 5  # with a first process that waits, and does not even accept
_MOST_LETTERS = 255  # of a file's name
_ENDED = ("Z", "X", "x")  # states of a process that runs no more: proc_pid_stat(5)


class Record:
    """One container. `pid` is 0 until it has a process; `creator` makes it as long as it lives.

    `cgroups` are its own directories; `kinds` the namespaces that are not the host's;
    `keyring` tells whether its processes have a session keyring of their own; `resctrl` names the
    groups that they join in resctrl, `resctrl_own` those that end with the container;
    `unit` is the systemd scope that its cgroups are, if they are one.
    """

    __slots__ = (
        "annotations",
        "boot_id",
        "bundle",
        "cgroups",
        "created",
        "creator",
        "creator_ticks",
        "id",
        "keyring",
        "kinds",
        "oci_version",
        "owner",
        "pid",
        "resctrl",
        "resctrl_own",
        "rootfs",
        "start_ticks",
        "unit",
    )

    def __init__(self, **members: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, members.get(name, _BLANK[name]))

    id: str
    oci_version: str
    bundle: str
    rootfs: str
    annotations: dict[str, str]
    cgroups: list[str]
    keyring: bool
    resctrl: list[str]
    resctrl_own: list[str]
    kinds: list[str]
    created: str
    owner: int
    boot_id: str
    pid: int
    start_ticks: int
    creator: int
    creator_ticks: int
    unit: str

    def adopt(self, pid: int) -> None:
        """Take process `pid`, which lives, as the container's first."""
        self.pid = pid
        self.start_ticks = identity.start_time(pid)
        self.creator = self.creator_ticks = 0

    def to_json(self) -> dict[str, Any]:
        """Return the record's members."""
        return {"schema": SCHEMA, **{name: getattr(self, name) for name in self.__slots__}}


_BLANK: dict[str, Any] = {
    "annotations": {},
    "cgroups": [],
    "keyring": True,
    "kinds": [],
    "resctrl": [],
    "resctrl_own": [],
    **dict.fromkeys(("boot_id", "bundle", "created", "id", "oci_version", "rootfs", "unit"), ""),
    **dict.fromkeys(("creator", "creator_ticks", "owner", "pid", "start_ticks"), 0),
}


class Folder:
    """The directory of a container, whose lock is held until the `with` block ends.

    The lock is let go, not only closed: a first process that waits may have inherited it.
    """

    __slots__ = ("_fd", "id", "path")

    def __init__(self, path: str, identifier: str, fd: int) -> None:
        self.path = path
        self.id = identifier
        self._fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)

    def socket(self) -> str:
        """Return a path of the start socket, short enough to bind and connect to."""
        return f"/proc/self/fd/{self._fd}/{SOCKET}"

    def take_socket(self) -> int:
        """Connect to the start socket, so that it is seen that somebody does; we own the result.

        Raises: OSError: ECONNREFUSED: nobody waits there.
        """
        from onggi.linux import channel

        taken = f"{self.path}/{_TAKEN}"
        try:
            os.rename(f"{self.path}/{SOCKET}", taken)
        except FileNotFoundError:
            pass  # somebody took it, and was killed before the container was started
        return channel.connect(f"/proc/self/fd/{self._fd}/{_TAKEN}", patience=_PATIENCE_SECONDS)

    def remove_socket(self) -> None:
        """Take note that the container was started."""
        os.unlink(f"{self.path}/{_TAKEN}")

    def read(self) -> Record:
        """Return the record."""
        return _read(self.path, self.id)

    def write(self, record: Record) -> None:
        """Replace the record, whole or not at all; what a reboot takes need not be synced."""
        _write(self.path, STATE, record.to_json())

    def config(self) -> dict[str, Any]:
        """Return the configuration that the container was made of."""
        return _config(self.path)

    def keep_config(self, config: dict[str, Any]) -> None:
        """Write the configuration down."""
        _write(self.path, CONFIG, config)

    def remove(self) -> None:
        """Remove the directory: there is no such container any more.

        The record goes last, so that what is left by a crash can be removed again.
        """
        for name in sorted(os.listdir(self.path), key=lambda name: name == STATE):
            os.unlink(f"{self.path}/{name}")
        os.rmdir(self.path)


def require_identifier(identifier: str) -> None:
    """Refuse what is no name for a container. Source: runc libcontainer/factory_linux.go."""
    good = identifier and _LETTERS.issuperset(identifier) and identifier not in (".", "..")
    if not good or len(identifier) > _MOST_LETTERS:
        raise InvalidInput("invalid container ID format", hint="letters, digits, _ + , - .")


def make(root: str, record: Record) -> Folder:
    """Make a container's directory, with its record, and hold it.

    Raises: AlreadyExists; InvalidInput: the record's ID is no name.
    """
    require_identifier(record.id)
    directories.make(root, 0o711)
    _sweep(root)
    path, half_made = f"{root}/{record.id}", f"{root}/{_HALF_MADE}{os.getpid()}"
    os.mkdir(half_made, 0o711)
    fd = -1
    try:
        fd = os.open(half_made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX)
        _write(half_made, STATE, record.to_json())
        os.rename(half_made, path)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        _write_off(half_made)
        if os.path.exists(path):
            raise AlreadyExists("container with given ID already exists") from error
        raise
    return Folder(path, record.id, fd)


def _sweep(root: str) -> None:
    """Remove what creators left that were killed before their container had its name."""
    for name in os.listdir(root):
        pid = name.removeprefix(_HALF_MADE)
        if pid != name and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            try:
                _write_off(f"{root}/{name}")
            except FileNotFoundError:
                continue  # another one sweeps as well


def _write_off(path: str) -> None:
    for name in os.listdir(path):
        os.unlink(f"{path}/{name}")
    os.rmdir(path)


def hold(root: str, identifier: str) -> Folder:
    """Wait for the lock of a container's directory, and hold it.

    Raises: NotFound.
    """
    require_identifier(identifier)
    path = f"{root}/{identifier}"
    while True:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound("container does not exist") from None
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            same = os.path.samestat(os.fstat(fd), os.stat(path))
        except FileNotFoundError:
            same = False
        if same:
            return Folder(path, identifier, fd)
        os.close(fd)  # removed while we waited, and perhaps made anew


def read(root: str, identifier: str) -> Record:
    """Return a container's record, without a lock. Raises: NotFound."""
    require_identifier(identifier)
    return _read(f"{root}/{identifier}", identifier)


def config(root: str, identifier: str) -> dict[str, Any]:
    """Return the configuration that a container was made of, without a lock."""
    return _config(f"{root}/{identifier}")


def _config(directory: str) -> dict[str, Any]:
    try:
        with open(f"{directory}/{CONFIG}", "rb") as file:
            known: dict[str, Any] = jsontext.loads(file.read())
    except FileNotFoundError:
        raise NotFound("container does not exist") from None
    return known


def identifiers(root: str) -> list[str]:
    """List the containers by name; none where there is no directory of them."""
    try:
        return sorted(name for name in os.listdir(root) if _LETTERS.issuperset(name))
    except FileNotFoundError:
        return []


def status(root: str, record: Record) -> str:
    """Return what is true of a container now."""
    if not record.pid:
        return CREATING if _lives(record.creator, record.creator_ticks, record) else STOPPED
    if not _lives(record.pid, record.start_ticks, record):
        return STOPPED
    if record.cgroups and _is_frozen(record.cgroups):
        return PAUSED
    return CREATED if _waits(f"{root}/{record.id}") else RUNNING


def _waits(directory: str) -> bool:
    """Tell whether a first process waits to be started.

    Where somebody was killed who started it, only the socket tells whether he had come so far.
    """
    if os.path.lexists(f"{directory}/{SOCKET}"):
        return True
    if not os.path.lexists(f"{directory}/{_TAKEN}"):
        return False
    from onggi.linux import channel  # here, as a container is hardly ever between the two

    try:
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # deleted just now
    try:
        os.close(channel.connect(f"/proc/self/fd/{place}/{_TAKEN}", patience=_PATIENCE_SECONDS))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except BlockingIOError:
        return True  # others were before us, and it answers nobody
    finally:
        os.close(place)
    return True


def _is_frozen(directories: list[str]) -> bool:
    from onggi.linux import freezer

    return freezer.is_frozen(directories)


def _lives(pid: int, start_ticks: int, record: Record) -> bool:
    if not pid:
        return False
    try:
        fields = identity.stat_fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    same = int(fields[19]) == start_ticks and fields[0] not in _ENDED
    return same and identity.boot_id() == record.boot_id


def document(record: Record, now: str) -> dict[str, Any]:
    """Return the state as the runtime specification has it, for hooks and programs."""
    known: dict[str, Any] = {
        "ociVersion": record.oci_version,
        "id": record.id,
        "pid": 0 if now == STOPPED else record.pid,
        "status": now,
        "bundle": record.bundle,
    }
    if record.annotations:
        known["annotations"] = record.annotations
    return known


def new(identifier: str, config: dict[str, Any], bundle: str) -> Record:
    """Return the record of a container that this process begins to make."""
    now = time.time_ns()
    seconds, nanoseconds = divmod(now, 10**9)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return Record(
        id=identifier,
        oci_version=config["ociVersion"],
        bundle=bundle,
        rootfs=config["root"]["path"],
        annotations=config.get("annotations", {}),
        kinds=[entry["type"] for entry in config.get("linux", {}).get("namespaces", [])],
        created=f"{moment}.{nanoseconds:09}Z",
        owner=os.geteuid(),
        boot_id=identity.boot_id(),
        creator=os.getpid(),
        creator_ticks=identity.start_time("self"),
    )


def _read(path: str, identifier: str) -> Record:
    try:
        with open(f"{path}/{STATE}", "rb") as file:
            members = jsontext.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound("container does not exist") from None
    except ValueError as error:
        raise Corrupt(f"the record of container {identifier}: {error}") from error
    if not isinstance(members, dict) or members.get("schema") != SCHEMA:
        raise Corrupt(f"the record of container {identifier} is of another version")
    return Record(**members)


def _write(directory: str, name: str, value: dict[str, Any]) -> None:
    half_made = f"{directory}/.{name}.{os.getpid()}"
    fd = os.open(half_made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(jsontext.dumps(value).encode())
    os.rename(half_made, f"{directory}/{name}")


def remove_groups(known: Record) -> None:
    """Remove what holds a container's processes, with whatever is left in it."""
    if known.unit:
        from onggi.runtime.systemd import bus

        bus.stop(known.unit)
    for path in known.cgroups:
        cgroup.clear(path)
    if known.resctrl_own:
        from onggi.runtime.steps import resctrl

        for path in known.resctrl_own:
            resctrl.remove(path)
