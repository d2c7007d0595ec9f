"""What a step is: one kernel effect, as a value with three readings.

* ``apply(context)`` does it, with as few system calls as the kernel allows and no decisions;
* ``describe()`` says it in one line, for people;
* ``shell()`` says it as commands that a root shell can run.

A plan is a list of steps, and there is no other way in which the runtime touches the kernel.
Steps compare by value and print themselves, so that a plan can be tested as data.
"""

from __future__ import annotations

from onggi.linux.path import Inside


class Context:
    """What steps share while a plan is applied; it starts empty and belongs to one process.

    `pid` is the process that host steps act on, `pidfd` one whose namespaces are entered. `born_in`
    is the cgroup that the process was made in, if it was made in one (clone3(2)). `root_fd` is the
    container's root directory, from the moment it is mounted. `trees` holds detached mounts that
    the host opened beforehand, by target, for a process that may no longer open them itself. `home`
    is the user's home directory, if it was looked up. `stub_fd` is the sealed program through which
    the program is entered, `mode` how that is to go about it (see stub.py), `filter_fd` a filter
    for it to load, `label_fd` and `label` where it is to ask for a confinement, and for which;
    `listener_fd` is where what it has born waits to be started. `proc_fd` is the host's procfs, for
    a process that the container's does not show; `procfs_fds` are file systems of that kind, begun
    by a process that it does show. `terminal_fd` and `report_fd` belong to the container's process.
    """

    __slots__ = (
        "born_in",
        "filter_fd",
        "home",
        "label",
        "label_fd",
        "listener_fd",
        "mode",
        "pid",
        "pidfd",
        "proc_fd",
        "procfs_fds",
        "report_fd",
        "root_fd",
        "stub_fd",
        "terminal_fd",
        "trees",
    )

    def __init__(self) -> None:
        self.pid = 0
        self.born_in = ""
        self.home = ""
        self.filter_fd = -1
        self.label_fd = -1
        self.label = b""
        self.mode = b""
        self.pidfd = -1
        self.listener_fd = -1
        self.proc_fd = -1
        self.procfs_fds: list[int] = []
        self.root_fd = -1
        self.trees: dict[str, int] = {}
        self.terminal_fd = -1
        self.report_fd = -1
        self.stub_fd = -1

    def inside(self) -> Inside:
        """Return the container's root; a step that needs it comes after the one that mounts it."""
        if self.root_fd < 0:
            raise RuntimeError("this step needs the root file system, which no step has mounted")
        return Inside(self.root_fd)


class Step:
    """One kernel effect. Subclasses list their fields in ``__slots__`` and never change them."""

    __slots__: tuple[str, ...] = ()

    def apply(self, context: Context) -> None:
        """Do it. An OSError leaves the effect undone."""
        raise NotImplementedError(type(self).__name__)

    def describe(self) -> str:
        """Say it in one line, lower case, without a full stop."""
        raise NotImplementedError(type(self).__name__)

    def shell(self) -> list[str]:
        """Say it as lines of POSIX shell; an empty list when the script's frame includes it.

        In it $root is the container's root, as the host sees it, and functions that the frame
        defines (see script.py) stand for what a shell would need several lines for.
        """
        raise NotImplementedError(type(self).__name__)

    def shell_on(self, process: str) -> list[str]:
        """Say it as `shell` does, for another process, whose number this word of shell gives.

        Only of steps that the host may take on a process of the container; "" is the shell itself.
        """
        raise NotImplementedError(type(self).__name__)

    def argument(self) -> str:
        """Return what a failure report names: the path or value that the step is about."""
        for name in self.__slots__:
            return str(getattr(self, name))
        return ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), repr(self._fields())))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"

    def _fields(self) -> list[object]:
        return [getattr(self, name) for name in self.__slots__]


_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")


def quote(text: str) -> str:
    """Quote `text` for a POSIX shell (`shlex.quote`, without importing `re`)."""
    if text and all(character in _SAFE for character in text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"
