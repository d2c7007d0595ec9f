"""Which security module of the kernel labels processes here, and where a process asks for a label.

Facts before policy:

- A process writes to attr/exec, of itself alone, what the next program that it executes is to be
  confined by; whatever that is, the wish is gone afterwards. A child inherits the wish.
- SELinux is enabled where its file system is mounted and its policy is loaded: until then every
  process has the label "kernel".

Source: proc_pid_attr(5), aa_change_onexec(2), setexeccon(3); kernel fs/proc/base.c.
"""

from __future__ import annotations

import os

from onggi.linux import procfs
from onggi.linux.path import O_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

_APPARMOR = "/sys/module/apparmor/parameters/enabled"
_SELINUX = "/sys/fs/selinux/policyvers"


def apparmor_enabled() -> bool:
    """Tell whether AppArmor is in force on this kernel."""
    return _first(_APPARMOR, 1) == b"Y"


def selinux_enabled() -> bool:
    """Tell whether SELinux is in force on this kernel, be it only permissive."""
    if not os.path.exists(_SELINUX):
        return False
    return _first("/proc/self/attr/current", 64).rstrip(b"\0\n") not in (b"", b"kernel")


def _first(path: str, most: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(most) or b""
    except FileNotFoundError:
        return b""


def open_attributes(proc_fd: SupportsIndex, *, apparmor: bool) -> int:
    """Open the directory of this process's attributes, those of AppArmor or those of SELinux.

    Returns: a close-on-exec O_PATH descriptor that the caller owns.
    Raises: OSError: ENOENT, this process is not seen in that procfs.
    Since: AppArmor has its own directory since Linux 5.8, commit 6413f852ce08 ("apparmor: add proc
        subdir to attrs"); before, it is the first of those of the process.
    """
    flags = O_PATH | os.O_DIRECTORY
    if apparmor:
        try:
            return procfs.open_file(proc_fd, "self/attr/apparmor", flags)
        except FileNotFoundError:
            pass  # an older kernel, or no such process, which the next line tells
    return procfs.open_file(proc_fd, "self/attr", flags)
