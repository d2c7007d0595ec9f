"""Steps that give the process views of its own: namespaces, and what must follow at once."""

from __future__ import annotations

import errno
import os

from onggi.linux import interface, mount, namespace, process, procfs
from onggi.runtime.steps.base import Context, Step, quote
from onggi.runtime.steps.options import PROPAGATION

# OCI name -> option of unshare(1) and nsenter(1); both use the same words but for the mount one.
_OPTION = {
    "mount": "--mount",
    "uts": "--uts",
    "ipc": "--ipc",
    "network": "--net",
    "pid": "--pid",
    "cgroup": "--cgroup",
    "time": "--time",
    "user": "--user",
}

# These take hold at the next fork, not at once: the host's side unshares them and forks.
FOR_CHILDREN = ("pid", "time")


class Unshare(Step):
    """Leave the host's namespaces of these kinds for new, empty ones.

    Comes after the process was placed in its cgroup: a cgroup namespace's root is the cgroup that
    its maker was in at that moment (cgroup_namespaces(7)).
    """

    __slots__ = ("kinds",)

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds

    def apply(self, context: Context) -> None:
        namespace.unshare(flags(self.kinds))

    def describe(self) -> str:
        return f"unshare the {', '.join(self.kinds)} namespace{'s' if len(self.kinds) > 1 else ''}"

    def shell(self) -> list[str]:
        return ["unshare " + " ".join(_OPTION[kind] for kind in self.kinds)]


class JoinNamespace(Step):
    """Enter a namespace that exists already, by its file."""

    __slots__ = ("kind", "path")

    def __init__(self, kind: str, path: str) -> None:
        self.kind = kind
        self.path = path

    def apply(self, context: Context) -> None:
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespace.setns(fd, flags((self.kind,)))
        finally:
            os.close(fd)

    def describe(self) -> str:
        return f"join the {self.kind} namespace {self.path}"

    def shell(self) -> list[str]:
        return [f"nsenter {_OPTION[self.kind]}={quote(self.path)}"]

    def argument(self) -> str:
        return self.path


class SetTimeOffsets(Step):
    """Set by how much the clocks of a new time namespace differ from the host's.

    They can be set until a process is in it: by its maker, before it forks.
    """

    __slots__ = ("offsets",)

    def __init__(self, offsets: tuple[tuple[str, int, int], ...]) -> None:
        self.offsets = offsets  # (clock, seconds, nanoseconds)

    def apply(self, context: Context) -> None:
        text = "".join(f"{clock} {secs} {nanosecs}\n" for clock, secs, nanosecs in self.offsets)
        proc_fd = procfs.open_proc()
        try:
            procfs.write(proc_fd, "self/timens_offsets", text)
        finally:
            os.close(proc_fd)

    def describe(self) -> str:
        listed = ", ".join(f"{clock} by {secs} s" for clock, secs, _ in self.offsets)
        return f"set the clocks of the time namespace: {listed}"

    def shell(self) -> list[str]:
        return []  # options of unshare(1), which makes the namespace


class HoldProcess(Step):
    """Take hold of a process that lives in the namespaces to be entered.

    From here on its number may be given to another: what is held is the process itself.
    """

    __slots__ = ("pid", "start_ticks")

    def __init__(self, pid: int, start_ticks: int) -> None:
        self.pid = pid
        self.start_ticks = start_ticks  # in clock ticks since boot, as in /proc/PID/stat

    def apply(self, context: Context) -> None:
        context.pidfd = process.pidfd_open(self.pid)
        if process.start_time(self.pid) != self.start_ticks:
            raise ProcessLookupError(errno.ESRCH, "the process has ended", str(self.pid))

    def describe(self) -> str:
        return f"take hold of process {self.pid}"

    def shell(self) -> list[str]:
        return [f"target={self.pid}"]


class EnterNamespaces(Step):
    """Enter namespaces of the process that is held, with one system call.

    Since: Linux 5.8, commit 303cc571d107 ("nsproxy: attach to namespaces via pidfds").
    """

    __slots__ = ("kinds",)

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds

    def apply(self, context: Context) -> None:
        namespace.setns(context.pidfd, flags(self.kinds))
        if "mount" in self.kinds:
            context.root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def describe(self) -> str:
        return f"enter its {', '.join(self.kinds)} namespace{'s' * (len(self.kinds) > 1)}"

    def shell(self) -> list[str]:
        options = " ".join(_OPTION[kind] for kind in self.kinds)
        return [f'nsenter --target "$target" {options}']


class SetPropagation(Step):
    """Set the propagation of every mount that the new mount namespace copied from the host.

    A copy still belongs to the host's peer groups; without this step the container's mounts would
    appear on the host (mount_namespaces(7), "Shared subtrees").
    """

    __slots__ = ("mode",)

    def __init__(self, mode: str) -> None:
        self.mode = mode  # as in the runtime specification: "rslave", "private", …

    def apply(self, context: Context) -> None:
        mount.mount("", "/", "", PROPAGATION[self.mode], "")

    def describe(self) -> str:
        return f"make the host's mounts {self.mode} here, so that none of ours reaches the host"

    def shell(self) -> list[str]:
        return [f"mount --make-{self.mode} /"]


class SetHostname(Step):
    """Set the host name of the UTS namespace."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def apply(self, context: Context) -> None:
        process.sethostname(self.name)

    def describe(self) -> str:
        return f"set the host name to {self.name}"

    def shell(self) -> list[str]:
        # The kernel's file of this name is the machine's root's to write.
        return [f"hostname -- {quote(self.name)}"]


class SetDomainname(Step):
    """Set the NIS domain name of the UTS namespace."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def apply(self, context: Context) -> None:
        process.setdomainname(self.name)

    def describe(self) -> str:
        return f"set the domain name to {self.name}"

    def shell(self) -> list[str]:
        return [f"domainname -- {quote(self.name)}"]


class LoopbackUp(Step):
    """Bring the loopback interface of the new network namespace up; it is made down."""

    __slots__ = ()

    def apply(self, context: Context) -> None:
        interface.loopback_up()

    def describe(self) -> str:
        return "bring the loopback interface up"

    def shell(self) -> list[str]:
        return ["ip link set lo up"]


def flags(kinds: tuple[str, ...]) -> int:
    """Return the CLONE_NEW* flags of these namespace kinds, by their OCI names."""
    total = 0
    for kind in kinds:
        total |= namespace.NAMESPACES[kind][0]
    return total
