"""Become a program for which one system call does not exist, as on a kernel that lacks it.

    python -IS without_call.py SOURCE NUMBER WORD...

Source: seccomp(2), SECCOMP_RET_ERRNO; <linux/filter.h>. The kernel answers ENOSYS to a call that
it does not know.
"""

import errno
import os
import struct
import sys


def filter_without(number: int) -> bytes:
    """Return a filter that answers ENOSYS to one system call, and lets all others pass."""
    instructions = (
        (0x20, 0, 0, 0),  # load seccomp_data.nr
        (0x15, 0, 1, number),  # unless it is the one, skip the next
        (0x06, 0, 0, 0x00050000 | errno.ENOSYS),
        (0x06, 0, 0, 0x7FFF0000),  # allow
    )
    return b"".join(struct.pack("=HBBI", *one) for one in instructions)


def main() -> None:
    """Load the filter and execute the program."""
    source, number, *words = sys.argv[1:]
    sys.path.insert(0, source)
    from onggi.linux import seccomp

    seccomp.load_filter(filter_without(int(number)))
    os.execv(words[0], words)


main()
