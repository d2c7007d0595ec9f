"""What is known of a container before anything is said of it, from the kernel or from a plan."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from onggi.resources.devices import Rule
    from onggi.runtime.plan.users import UserMap

    Json = dict[str, Any]

OWN = "its own"
HOST = "the host's"


def reach(sets: dict[str, int], *, no_new_privs: bool) -> int:
    """Return the capabilities that a process has, or may get by executing something.

    Source: capabilities(7), "Transformation of capabilities during execve()"; no_new_privs.rst.
    """
    held = sets["permitted"] | sets["ambient"]
    return held if no_new_privs else held | sets["bounding"] | sets["inheritable"]


class Credentials:
    """By what the kernel decides about the first process.

    IDs are those of the namespace that we are in: the host's, or an ordinary user's. `users` are
    the mappings of its user namespace to those, None if it has the host's. `host_uid` is the
    host's, whoever we are.
    """

    __slots__ = ("capabilities", "gid", "groups", "host_uid", "no_new_privs", "uid", "users")

    def __init__(
        self,
        *,
        uid: int,
        gid: int,
        groups: Sequence[int],
        capabilities: dict[str, int],
        no_new_privs: bool,
        users: UserMap | None,
        host_uid: int,
    ) -> None:
        self.host_uid = host_uid
        self.uid = uid
        self.gid = gid
        self.groups = frozenset((gid, *groups))
        self.capabilities = capabilities  # the five sets by name, as linux.capability knows them
        self.no_new_privs = no_new_privs
        self.users = users

    @property
    def reach(self) -> int:
        """The capabilities that it has, or may get by executing something."""
        return reach(self.capabilities, no_new_privs=self.no_new_privs)

    def maps(self, uid: int, gid: int) -> bool:
        """Tell whether both IDs of the host are IDs of the inside."""
        if self.users is None:
            return True
        return _holds(self.users.uids, uid) and _holds(self.users.gids, gid)


def _holds(lines: tuple[tuple[int, int, int], ...], identifier: int) -> bool:
    return any(first <= identifier < first + count for _, first, count in lines)


class Visible:
    """A mount that the container sees at `path`.

    `root` is the part of the file system that is shown there. `open` returns an O_PATH descriptor
    of that place, which the caller owns, or -1 where something else covers it.
    """

    __slots__ = ("fstype", "open", "path", "read_only", "root")

    def __init__(
        self,
        path: str,
        fstype: str,
        *,
        read_only: bool,
        root: str = "/",
        opener: Callable[[], int],
    ) -> None:
        self.path = path
        self.fstype = fstype
        self.read_only = read_only
        self.root = root
        self.open = opener

    def is_below(self, directory: str) -> bool:
        """Tell whether it lies at a directory or below."""
        return f"{self.path}/".startswith(f"{directory.rstrip('/')}/")


class Node:
    """A device file: `kind` is "c" or "b"."""

    __slots__ = ("kind", "major", "minor", "path")

    def __init__(self, path: str, kind: str, major: int, minor: int) -> None:
        self.path = path
        self.kind = kind
        self.major = major
        self.minor = minor

    @classmethod
    def of(cls, path: str, status: os.stat_result, kind: str) -> Node:
        """Return the node that was found at a path."""
        return cls(path, kind, os.major(status.st_rdev), os.minor(status.st_rdev))


class Limits:
    """What bounds it; None is no bound. Memory in bytes, processor time in processors."""

    __slots__ = ("cpus", "memory", "oom_score_adj", "pids")

    def __init__(
        self, *, pids: int | None, memory: int | None, cpus: float | None, oom_score_adj: int
    ) -> None:
        self.pids = pids
        self.memory = memory
        self.cpus = cpus
        self.oom_score_adj = oom_score_adj


class Other:
    """A further process of the container, and the capabilities that it has or may get."""

    __slots__ = ("name", "pid", "reach")

    def __init__(self, pid: int, name: str, reach: int) -> None:
        self.pid = pid
        self.name = name
        self.reach = reach


class Facts:
    """All that is known. `pid` is 0 for what is only planned.

    record: the container's, also of one that nobody makes. trees: the directories that its root is
    made of, the topmost first. program: its seccomp filter, empty for none. namespaces: kind ->
    OWN, HOST, or who else is in it. masked: the kernel's files, of those that should be, that are
    hidden. controllers: by which whoever makes it may limit it.
    """

    __slots__ = (
        "controllers",
        "credentials",
        "devices",
        "limits",
        "masked",
        "mounts",
        "namespaces",
        "network_path",
        "nodes",
        "others",
        "pid",
        "program",
        "read_only",
        "record",
        "rootless",
        "trees",
    )

    def __init__(
        self,
        *,
        pid: int,
        record: Json,
        trees: list[str],
        credentials: Credentials,
        program: bytes,
        namespaces: dict[str, str],
        mounts: list[Visible],
        masked: frozenset[str],
        read_only: bool,
        nodes: list[Node],
        devices: list[Rule],
        limits: Limits,
        network_path: str,
        rootless: bool,
        controllers: frozenset[str],
        others: Sequence[Other] = (),
    ) -> None:
        self.controllers = controllers
        self.pid = pid
        self.record = record
        self.trees = trees
        self.credentials = credentials
        self.program = program
        self.namespaces = namespaces
        self.mounts = mounts
        self.masked = masked
        self.read_only = read_only  # whether the root file system is
        self.nodes = nodes
        self.devices = devices
        self.limits = limits
        self.others = tuple(others)
        self.rootless = rootless  # whether an ordinary user runs it, whose rights are at stake
        self.network_path = network_path  # of its network namespace; "": the host's, "new": a new

    @property
    def options(self) -> Json:
        """What was asked for, as options of `run`."""
        options: Json = self.record["options"]
        return options

    @property
    def own_users(self) -> bool:
        """Whether its root is not the host's root."""
        return self.credentials.users is not None
