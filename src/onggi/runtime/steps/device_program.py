"""The step that gives a cgroup of version 2 another device program while processes are inside."""

from __future__ import annotations

import os

from onggi.linux import bpf
from onggi.runtime.steps.cgroups import AttachDeviceProgram


class ReplaceDeviceProgram(AttachDeviceProgram):
    """Put a BPF program that decides on device access in the place of the one that does now.

    One system call exchanges them, so that each access is decided by the one or by the other. What
    others attached to the cgroup, as systemd does, stays in force beside it.
    """

    __slots__ = ()

    def _put(self, directory: int, loaded: int) -> None:
        ours = _ours(directory)
        try:
            if ours:
                bpf.replace_cgroup_device(directory, loaded, ours[0])
            else:
                bpf.attach_cgroup_device(directory, loaded)  # which can only deny more
            for fd in ours[1:]:
                bpf.detach_cgroup_device(directory, fd)
        finally:
            for fd in ours:
                os.close(fd)

    def describe(self) -> str:
        return f"replace the device program of {self.path} ({len(self.program) // 8} instructions)"

    def shell(self) -> list[str]:
        return []  # a script makes containers, and changes none


def _ours(directory: int) -> list[int]:
    """Open those of the cgroup's own programs that this runtime has loaded."""
    found: list[int] = []
    try:
        for identifier in bpf.attached_cgroup_device(directory):
            found.append(bpf.open_program(identifier))
            if bpf.program_name(found[-1]) != bpf.DEVICE_PROGRAM:
                os.close(found.pop())
    except BaseException:
        for fd in found:
            os.close(fd)
        raise
    return found
