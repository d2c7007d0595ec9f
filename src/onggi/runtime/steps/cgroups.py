"""Steps on control groups, taken by the host before the container's first process exists.

The order is the guarantee: the directory is made, its numbers are written, and only then is the
first process born in it, or enters it before it does anything else. Nothing inside ever writes
there: it sees the same files through a read-only mount.
"""

from __future__ import annotations

import os

from onggi.linux import cgroup
from onggi.resources import apply
from onggi.runtime.steps.base import Context, Step, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.resources.layout import Enable, Inherit, Make
    from onggi.resources.setting import Setting


class MakeCgroup(Step):
    """Make a cgroup directory; one that other containers share may be there already."""

    __slots__ = ("make", "shared")

    def __init__(self, make: Make, *, shared: bool) -> None:
        self.make = make
        self.shared = shared

    def apply(self, context: Context) -> None:
        apply.make(self.make)

    def undo(self) -> None:
        """Remove it again, unless others share it."""
        if not self.shared:
            cgroup.remove(self.make.path)

    def describe(self) -> str:
        return f"make {self.make.path}: {self.make.reason}"

    def shell(self) -> list[str]:
        return [f"mkdir {'-p ' if self.shared else ''}{quote(self.make.path)}"]

    def argument(self) -> str:
        return self.make.path


class EnableControllers(Step):
    """Pass controllers on to the children of a v2 cgroup."""

    __slots__ = ("enable",)

    def __init__(self, enable: Enable) -> None:
        self.enable = enable

    def apply(self, context: Context) -> None:
        apply.enable(self.enable)

    def describe(self) -> str:
        names = ", ".join(self.enable.controllers)
        return f"pass {names} on from {self.enable.path}: {self.enable.reason}"

    def shell(self) -> list[str]:
        path = quote(f"{self.enable.path}/cgroup.subtree_control")
        return [
            f"echo +{name} > {path}" + ("" if name in self.enable.required else " || true")
            for name in self.enable.controllers
        ]

    def argument(self) -> str:
        return self.enable.path


class InheritCpuset(Step):
    """Copy the parent's processors or memory nodes into a v1 cpuset that has none yet."""

    __slots__ = ("inherit",)

    def __init__(self, inherit: Inherit) -> None:
        self.inherit = inherit

    def apply(self, context: Context) -> None:
        apply.inherit(self.inherit)

    def describe(self) -> str:
        what = self.inherit
        return f"copy the parent's {what.file} to {what.path}: {what.reason}"

    def shell(self) -> list[str]:
        path, file = self.inherit.path, self.inherit.file
        mine, above = quote(f"{path}/{file}"), quote(f"{os.path.dirname(path)}/{file}")
        return [f'[ -n "$(cat {mine})" ] || cat {above} > {mine}']

    def argument(self) -> str:
        return f"{self.inherit.path}/{self.inherit.file}"


class WriteSetting(Step):
    """Write one number into one control file, with one write(2)."""

    __slots__ = ("directory", "setting")

    def __init__(self, directory: str, setting: Setting) -> None:
        self.directory = directory
        self.setting = setting

    def apply(self, context: Context) -> None:
        apply.write(self.setting, self.directory)

    def describe(self) -> str:
        return f"set {self.setting.file} to {self.setting.value}: {self.setting.reason}"

    def shell(self) -> list[str]:
        path = quote(self.argument())
        line = f"echo {quote(self.setting.value)} > {path}"
        return [f"[ ! -e {path} ] || {line}" if self.setting.optional else line]

    def argument(self) -> str:
        return f"{self.directory}/{self.setting.file}"


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
                self._put(directory, loaded)
            finally:
                os.close(loaded)
        finally:
            os.close(directory)

    def _put(self, directory: int, loaded: int) -> None:
        from onggi.linux import bpf

        bpf.attach_cgroup_device(directory, loaded)

    def describe(self) -> str:
        return f"attach the device program ({len(self.program) // 8} instructions) to {self.path}"

    def shell(self) -> list[str]:
        return []  # the script's frame has a few lines of Python for this


class JoinCgroup(Step):
    """Enter a cgroup, which the host has made and set, before doing anything else.

    A process that was born in it (Context.born_in) is there already.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        if self.path != context.born_in:
            cgroup.join(self.path)

    def describe(self) -> str:
        return f"enter the cgroup {self.path}"

    def shell(self) -> list[str]:
        return self.shell_on("")

    def shell_on(self, process: str) -> list[str]:
        return [f"echo {process or 0} > {quote(self.path + '/cgroup.procs')}"]
