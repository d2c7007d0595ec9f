"""Which process a pid stands for: the kernel uses each pid again and again.

(pid, start time, boot id) names one process for ever, so that is how a process is named in a file
that outlives its parent.
"""

from __future__ import annotations

import errno
import os


def start_time(pid: int | str) -> int:
    """Tell when process `pid` ("self" too) started, in clock ticks since boot.

    Raises: OSError: FileNotFoundError or ProcessLookupError, there is no such process.
    Source: proc_pid_stat(5), field 22.
    """
    return int(stat_fields(pid)[19])


def start_time_of_living(pid: int) -> int:
    """As `start_time`, but of a process that has ended and waits for its parent there is none.

    Raises: OSError: there is no such process; ESRCH: it has ended.
    Source: proc_pid_stat(5), fields 3 and 20: a process whose first thread alone has ended is a
        zombie with others.
    """
    fields = stat_fields(pid)
    if fields[0] in "ZX" and int(fields[17]) <= 1:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), f"/proc/{pid}")
    return int(fields[19])


def stat_fields(pid: int | str) -> list[str]:
    """Read the fields of /proc/PID/stat from the third (the state) on.

    The second is the program's name in parentheses and may hold blanks and parentheses of its
    own, so fields are counted from the last one.

    Source: proc_pid_stat(5).
    """
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        text = file.read().decode("utf-8", "surrogateescape")
    return text[text.rindex(")") + 2 :].split()


def boot_id() -> str:
    """Tell the random name the kernel gave to this boot.

    Source: proc_sys_kernel(5), "/proc/sys/kernel/random".
    """
    with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
        return file.read().decode("ascii").strip()
