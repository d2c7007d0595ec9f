"""Steps that fill /dev: nodes, links, and the container's terminal."""

from __future__ import annotations

import os
import stat

from onggi.linux import channel, device, mount, terminal
from onggi.linux.path import O_PATH
from onggi.runtime.steps.base import Context, Step, quote
from onggi.runtime.steps.mounts import BindMount, attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KIND = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


class MakeDevice(Step):
    """Make a device node."""

    __slots__ = ("gid", "kind", "major", "minor", "mode", "path", "uid")

    def __init__(
        self,
        path: str,
        kind: str,
        major: int,
        minor: int,
        *,
        mode: int = 0o666,
        uid: int = 0,
        gid: int = 0,
    ) -> None:
        self.path = path
        self.kind = kind  # "c", "b" or "p", as mknod(1) says it
        self.major = major
        self.minor = minor
        self.mode = mode  # permission bits
        self.uid = uid
        self.gid = gid

    def apply(self, context: Context) -> None:
        name = os.path.basename(self.path)
        parent = context.inside().make_directories(os.path.dirname(self.path), 0o755)
        try:
            self._make(parent, name)
            if self.uid or self.gid:
                os.chown(name, self.uid, self.gid, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)

    def _make(self, parent: int, name: str) -> None:
        # mknod(2) takes the umask off, and the node must have the mode that was asked for. To set
        # it afterwards would mean to walk to the name again: where /dev is a volume, another
        # container may have put a link there meanwhile, to a file of the host.
        before = os.umask(0)
        try:
            device.mknod(parent, name, _KIND[self.kind] | self.mode, self.major, self.minor)
        finally:
            os.umask(before)

    def describe(self) -> str:
        return f"make the device {self.path} ({self.kind} {self.major}:{self.minor})"

    def shell(self) -> list[str]:
        numbers = "" if self.kind == "p" else f" {self.major} {self.minor}"
        lines = [f"device {quote(self.path)} {self.mode:o} {self.kind}{numbers}"]
        if self.uid or self.gid:
            lines.append(f'chown {self.uid}:{self.gid} "$at"')
        return lines


class BindDevice(BindMount):
    """Show a device node of the host in /dev, where nobody may make one: in a user namespace.

    What was opened is proven to be the device, whatever lies at its path on this host.
    """

    __slots__ = ("kind", "major", "minor")

    def __init__(self, path: str, kind: str, major: int, minor: int) -> None:
        super().__init__(path, path, ("bind",))
        self.kind = kind  # as MakeDevice's
        self.major = major
        self.minor = minor

    def open_tree(self, userns_fd: int = -1) -> int:
        """Return a detached mount of the node, once it is sure that it is the device."""
        tree = super().open_tree(userns_fd)
        try:
            device.verify_device(tree, self.major, self.minor, _KIND[self.kind])
        except OSError:
            os.close(tree)
            raise
        return tree

    def describe(self) -> str:
        return f"show the host's {self.target} ({self.kind} {self.major}:{self.minor})"

    def argument(self) -> str:
        return self.target

    def _fields(self) -> list[object]:
        return [self.target, self.kind, self.major, self.minor]


class MakeSymlink(Step):
    """Make a symbolic link, unless the name is taken."""

    __slots__ = ("path", "target")

    def __init__(self, path: str, target: str) -> None:
        self.path = path
        self.target = target

    def apply(self, context: Context) -> None:
        parent = context.inside().make_directories(os.path.dirname(self.path), 0o755)
        try:
            os.symlink(self.target, os.path.basename(self.path), dir_fd=parent)
        except FileExistsError:
            pass  # /dev may be the image's own; what it has there stays
        finally:
            os.close(parent)

    def describe(self) -> str:
        return f"link {self.path} to {self.target}"

    def shell(self) -> list[str]:
        return [f"link {quote(self.path)} {quote(self.target)}"]


class OwnNull(Step):
    """Put the container's own null device in the place of the host's, on standard streams.

    A descriptor of the host's could be used to change the host's file: its mode, its owner.
    """

    __slots__ = ()

    def apply(self, context: Context) -> None:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        null_fd = context.inside().open("/dev/null", flags)
        try:
            device.verify_device(null_fd, *device.NULL)
            for standard in (0, 1, 2):
                if os.fstat(standard).st_rdev == os.makedev(*device.NULL):
                    os.dup2(null_fd, standard, inheritable=True)
        finally:
            os.close(null_fd)

    def describe(self) -> str:
        return "use the container's own null device"

    def shell(self) -> list[str]:
        each = '[ ! /proc/self/fd/{0} -ef /dev/null ] || exec {0}<> "$at"'
        return ["inside /dev/null", *(each.format(standard) for standard in (0, 1, 2))]


class OpenTerminal(Step):
    """Open a terminal of the container's own devpts.

    The master goes to the host's side; the slave becomes the process's terminal later. The slave is
    reached through the master alone, by no name that an image could choose (CVE-2025-52565).
    """

    __slots__ = ("columns", "rows", "uid")

    def __init__(self, uid: int, rows: int = 0, columns: int = 0) -> None:
        self.uid = uid  # of the program, to whom the terminal belongs
        self.rows, self.columns = rows, columns  # 0: not known

    @classmethod
    def of(cls, process: dict[str, Any]) -> OpenTerminal:
        """Return the step for the terminal of runtime-spec `process`."""
        size = process.get("consoleSize", {})
        uid = process.get("user", {}).get("uid", 0)
        return cls(uid, size.get("height", 0), size.get("width", 0))

    def apply(self, context: Context) -> None:
        devpts = context.inside().open("/dev/pts", O_PATH | os.O_DIRECTORY)
        try:
            master, context.terminal_fd = terminal.open_pty(devpts)
        finally:
            os.close(devpts)
        os.fchown(context.terminal_fd, self.uid, -1)  # the group, tty, is a mount option
        if self.rows and self.columns:
            terminal.set_size(context.terminal_fd, self.rows, self.columns)
        channel.send(context.report_fd, b"terminal", (master,))
        os.close(master)

    def describe(self) -> str:
        return "open a terminal of the container's own"

    def shell(self) -> list[str]:
        return []  # the script's program uses the caller's


class BindConsole(Step):
    """Show the container's terminal as /dev/console."""

    __slots__ = ()

    def apply(self, context: Context) -> None:
        flags = mount.OPEN_TREE_CLONE | mount.OPEN_TREE_CLOEXEC | mount.AT_EMPTY_PATH
        target = context.inside().make_file("/dev/console")
        try:
            tree = mount.open_tree(context.terminal_fd, "", flags)
            try:
                attach(tree, target)
            finally:
                os.close(tree)
        finally:
            os.close(target)

    def describe(self) -> str:
        return "show the terminal as /dev/console"

    def shell(self) -> list[str]:
        return ['! tty -s || { file /dev/console; mount --bind "$(tty)" "$at"; }']
