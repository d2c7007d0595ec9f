"""Numbers of the system calls that C libraries may lack, per machine.

Calls added since Linux 5.1 have one number on every architecture (424 and up); older ones differ.
Only 64-bit processes of the machines listed are served. Everything else is refused at first use:
a default would silently be another system call.

Source: the kernel's arch/x86/entry/syscalls/syscall_64.tbl and scripts/syscall.tbl.
"""

from __future__ import annotations

import errno
import os
import sys

_COMMON = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}

NUMBERS = {
    "x86_64": {
        "pivot_root": 155,
        "set_mempolicy": 238,
        "keyctl": 250,
        "ioprio_set": 251,
        "sched_setattr": 314,
        "seccomp": 317,
        "bpf": 321,
        "execveat": 322,
        **_COMMON,
    },
    "aarch64": {
        "ioprio_set": 30,
        "pivot_root": 41,
        "keyctl": 219,
        "set_mempolicy": 237,
        "sched_setattr": 274,
        "seccomp": 277,
        "bpf": 280,
        "execveat": 281,
        **_COMMON,
    },
}

# A 32-bit process (also x32) on a 64-bit kernel reads the 64-bit machine's name in uname(2).
_MACHINE = os.uname().machine if sys.maxsize > 2**32 else f"32-bit {os.uname().machine}"


def number(name: str, machine: str = _MACHINE) -> int:
    """Tell the number of system call `name`.

    Raises: OSError: ENOSYS, the number is not known on this machine.
    """
    try:
        return NUMBERS[machine][name]
    except KeyError:
        reason = f"no number is known for {name} on {machine}"
        raise OSError(errno.ENOSYS, reason) from None
