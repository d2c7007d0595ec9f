"""Steps on control groups, taken by the host before the container's first process exists.

The order is the guarantee: the directory is made, its numbers are written, and only then is the
first process placed in it, before that process executes anything. Nothing inside ever writes
there: it sees the same files through a read-only mount.
"""

from __future__ import annotations

import errno
import os

from onggi.linux import cgroup
from onggi.runtime.steps.base import Context, Step, quote


class MakeCgroup(Step):
    """Make a cgroup directory; its parents come from steps of their own."""

    __slots__ = ("path", "shared")

    def __init__(self, path: str, *, shared: bool = False) -> None:
        self.path = path
        self.shared = shared  # a parent that other containers use too

    def apply(self, context: Context) -> None:
        try:
            os.mkdir(self.path, 0o755)
        except FileExistsError:
            if not self.shared:
                raise

    def undo(self) -> None:
        """Remove it again, unless others use it or it is gone already."""
        if self.shared:
            return
        try:
            cgroup.remove(self.path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def describe(self) -> str:
        return f"make the cgroup {self.path}"

    def shell(self) -> list[str]:
        return [f"mkdir {'-p ' if self.shared else ''}{quote(self.path)}"]


class SetCgroupValue(Step):
    """Write one value into one cgroup file, with one write(2)."""

    __slots__ = ("path", "reason", "value")

    def __init__(self, path: str, value: str, *, reason: str = "") -> None:
        self.path = path
        self.value = value
        self.reason = reason

    def apply(self, context: Context) -> None:
        cgroup.write(self.path, self.value)

    def describe(self) -> str:
        return f"set {os.path.basename(self.path)} to {self.value!r}" + (
            f": {self.reason}" if self.reason else ""
        )

    def shell(self) -> list[str]:
        comment = [f"# {self.reason}"] if self.reason else []
        return [*comment, f"echo {quote(self.value)} > {quote(self.path)}"]

    def argument(self) -> str:
        return f"{self.path} = {self.value}"


class AttachDeviceProgram(Step):
    """Load a BPF program that decides on device access and attach it to a v2 cgroup."""

    __slots__ = ("path", "program")

    def __init__(self, path: str, program: bytes) -> None:
        self.path = path
        self.program = program

    def apply(self, context: Context) -> None:
        from onggi.linux import bpf

        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            loaded = bpf.load_cgroup_device_program(self.program)
            try:
                bpf.attach_cgroup_device(directory, loaded)
            finally:
                os.close(loaded)
        finally:
            os.close(directory)

    def describe(self) -> str:
        return f"attach the device program ({len(self.program) // 8} instructions) to {self.path}"

    def shell(self) -> list[str]:
        return ["# Device access is decided by a BPF program here; a shell has no way to load one."]


class JoinCgroup(Step):
    """Place the container's first process in a cgroup."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        cgroup.write(f"{self.path}/cgroup.procs", str(context.pid))

    def describe(self) -> str:
        return f"place the container's first process in {self.path}"

    def shell(self) -> list[str]:
        return [f"echo $$ > {quote(self.path + '/cgroup.procs')}"]
