"""What others read of our command line, in /proc/PID/cmdline: everybody, whatever we forbid.

Facts before policy:

- The file is the process's own memory, from arg_start to arg_end, which execve(2) filled. Reading
  it takes no right over the process, and none to trace it: one that is not dumpable, too, tells it.
- PR_SET_MM_ARG_START moves it but asks for CAP_SYS_RESOURCE. The memory is ours to write to.
- If the byte before arg_end is not 0, the kernel takes it for the trick of setproctitle(3), and
  tells what lies behind as well. So that byte stays 0.
- A child has a copy, so that it is told of what its parent had when it was forked.

Source: fs/proc/base.c, get_mm_cmdline; proc(5), "/proc/pid/stat", fields 48 and 49.
"""

from __future__ import annotations

from onggi.linux._abi import read_memory, write_memory

_ARG_START, _ARG_END = 45, 46  # fields 48 and 49, of those behind the name in brackets


def show(text: bytes) -> bytes:
    """Have our command line read as `text`, cut to the room there is; return what it was.

    Nothing of what it was is to be read any more. What `show` returned may be shown again. Where
    the kernel tells us no addresses, nothing is done, and b"" returned.

    Raises: OSError: no /proc.
    """
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    room = end - start
    if not start or room < 1:
        return b""
    before = read_memory(start, room)
    write_memory(start, text[: room - 1].ljust(room, b"\0"))
    return before
