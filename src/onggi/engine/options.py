"""What callers ask of the engine, and what they get back, as plain values.

Spelling is Docker's wherever there is one: `limits` and the lists hold its flags' own words, so
that a program can pass on what a person typed; the engine parses them and refuses with a clear
error.
"""

from __future__ import annotations

from onggi.runtime.log import Entry as LogLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.attach import Session
    from onggi.runtime.state import State

USUAL_KEYS = "ctrl-p,ctrl-q"
# The limits that a container may get others of: the rest is part of how its processes were made.
CHANGEABLE = (
    *("cpus", "cpu-shares", "cpu-period", "cpu-quota", "cpuset-cpus", "cpuset-mems"),
    *("memory", "memory-reservation", "memory-swap", "pids-limit", "blkio-weight"),
)
__all__ = [
    "CHANGEABLE",
    "USUAL_KEYS",
    "ContainerOptions",
    "Detached",
    "ExecOptions",
    "Exit",
    "LogLine",
    "Session",
    "Streams",
]


class ContainerOptions:
    """A container as it is asked for.

    entrypoint: None keeps the image's, an empty list removes it. env: "NAME=value". volumes:
    "source:target[:options]". tmpfs: "target[:options]". mounts: dicts of type, source, target,
    readonly. volumes_from: "container[:ro]". extra_hosts: "name:address". device_cgroup_rules: as
    "c 1:3 rwm". limits: resource flags by Docker's names without dashes before them, such as
    {"cpus": "0.5", "memory": "128m", "ulimit": ["nofile=1024"]}.
    """

    __slots__ = (
        "annotations",
        "cap_add",
        "cap_drop",
        "cgroup_parent",
        "command",
        "detach",
        "device_cgroup_rules",
        "devices",
        "domainname",
        "entrypoint",
        "env",
        "extra_hosts",
        "group_add",
        "hostname",
        "image",
        "init",
        "interactive",
        "labels",
        "limits",
        "mounts",
        "name",
        "network",
        "privileged",
        "read_only",
        "remove",
        "security_opt",
        "stop_signal",
        "stop_timeout",
        "sysctls",
        "tmpfs",
        "tty",
        "user",
        "userns",
        "volumes",
        "volumes_from",
        "workdir",
    )

    def __init__(
        self,
        *,
        image: str,
        command: list[str] | None = None,
        name: str = "",
        entrypoint: list[str] | None = None,
        env: list[str] | None = None,
        workdir: str = "",
        user: str = "",
        hostname: str = "",
        domainname: str = "",
        network: str = "none",
        volumes: list[str] | None = None,
        volumes_from: list[str] | None = None,
        mounts: list[dict[str, Any]] | None = None,
        tmpfs: list[str] | None = None,
        tty: bool = False,
        interactive: bool = False,
        detach: bool = False,
        remove: bool = False,
        init: bool = False,
        read_only: bool = False,
        privileged: bool = False,
        cap_add: list[str] | None = None,
        cap_drop: list[str] | None = None,
        security_opt: list[str] | None = None,
        userns: str = "host",
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        extra_hosts: list[str] | None = None,
        stop_signal: str = "",
        stop_timeout: int | None = None,
        group_add: list[str] | None = None,
        sysctls: dict[str, str] | None = None,
        devices: list[str] | None = None,
        device_cgroup_rules: list[str] | None = None,
        limits: dict[str, Any] | None = None,
        cgroup_parent: str = "",
    ) -> None:
        self.image = image
        self.command = command or []
        self.name = name
        self.entrypoint = entrypoint
        self.env = env or []
        self.workdir = workdir
        self.user = user
        self.hostname = hostname
        self.domainname = domainname
        self.network = network
        self.volumes = volumes or []
        self.volumes_from = volumes_from or []
        self.mounts = mounts or []
        self.tmpfs = tmpfs or []
        self.tty = tty
        self.interactive = interactive
        self.detach = detach
        self.remove = remove
        self.init = init
        self.read_only = read_only
        self.privileged = privileged
        self.cap_add = cap_add or []
        self.cap_drop = cap_drop or []
        self.security_opt = security_opt or []
        self.userns = userns
        self.labels = labels or {}
        self.annotations = annotations or {}
        self.extra_hosts = extra_hosts or []
        self.stop_signal = stop_signal
        self.stop_timeout = stop_timeout
        self.group_add = group_add or []
        self.sysctls = sysctls or {}
        self.devices = devices or []
        self.device_cgroup_rules = device_cgroup_rules or []
        self.limits = limits or {}
        self.cgroup_parent = cgroup_parent

    def to_json(self) -> dict[str, Any]:
        """Return the members, for a record."""
        return {name: getattr(self, name) for name in self.__slots__}


class ExecOptions:
    """A further program in a running container."""

    __slots__ = (
        "command",
        "detach",
        "env",
        "interactive",
        "privileged",
        "tty",
        "user",
        "workdir",
    )

    def __init__(
        self,
        *,
        command: list[str],
        env: list[str] | None = None,
        workdir: str = "",
        user: str = "",
        tty: bool = False,
        interactive: bool = False,
        detach: bool = False,
        privileged: bool = False,
    ) -> None:
        self.command = command
        self.env = env or []
        self.workdir = workdir
        self.user = user
        self.tty = tty
        self.interactive = interactive
        self.detach = detach
        self.privileged = privileged


class Streams:
    """Where an attached program's input comes from and its output goes to; -1 is nowhere.

    The descriptors stay the caller's. `terminal`: the program has a terminal of its own.
    `detach_keys`: what is typed to leave it, such as USUAL_KEYS; none: it can't be left.
    """

    __slots__ = ("detach_keys", "stderr_fd", "stdin_fd", "stdout_fd", "terminal")

    def __init__(
        self,
        *,
        stdin_fd: int = -1,
        stdout_fd: int = -1,
        stderr_fd: int = -1,
        terminal: bool = False,
        detach_keys: str = "",
    ) -> None:
        self.detach_keys = _parsed(detach_keys) if detach_keys else b""
        self.stdin_fd = stdin_fd
        self.stdout_fd = stdout_fd
        self.stderr_fd = stderr_fd
        self.terminal = terminal


def _parsed(keys: str) -> bytes:
    from onggi.engine import detaching

    return detaching.parse(keys)


class Detached(Exception):
    """Whoever is attached has typed the keys that detach; the container goes on."""


class Exit:
    """How a program ended: its exit code, or 128 + `signal`; whether memory was the reason."""

    __slots__ = ("code", "error", "oom_killed", "signal")

    def __init__(
        self, *, code: int, signal: int = 0, oom_killed: bool = False, error: str = ""
    ) -> None:
        self.code = code
        self.signal = signal
        self.oom_killed = oom_killed
        self.error = error

    @classmethod
    def of(cls, final: State) -> Exit:
        """Return the part of a container's final state that tells how it ended."""
        return cls(
            code=final.exit_code,
            signal=final.signal,
            oom_killed=final.oom_killed,
            error=final.error,
        )

    def __repr__(self) -> str:
        return f"Exit(code={self.code}, signal={self.signal}, oom_killed={self.oom_killed})"
