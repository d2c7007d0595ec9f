"""Device nodes: making them, and proving that a file is the device it is taken for.

A path such as /dev/null in an image is whatever the image's author put there (CVE-2025-31133 and
CVE-2025-52565 of runc). The numbers of the open file are the proof.
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.linux._failure import failure, path_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

# (major, minor) of the devices every container has: Documentation/admin-guide/devices.txt.
NULL = (1, 3)
ZERO = (1, 5)
FULL = (1, 7)
RANDOM = (1, 8)
URANDOM = (1, 9)
TTY = (5, 0)
CONSOLE = (5, 1)
PTMX = (5, 2)
UNIX98_PTY_SLAVE_MAJORS = range(136, 144)


def mknod(dirfd: SupportsIndex, name: str | bytes, mode: int, major: int, minor: int) -> None:
    """Make a device node, fifo or plain file called `name` in directory `dirfd`.

    The last component is never followed; the mode is lessened by the umask.

    Args: mode: S_IFCHR, S_IFBLK, S_IFIFO or S_IFREG, with permissions.
    Raises: OSError: EPERM, no CAP_MKNOD in the initial user namespace; EEXIST.
    Source: mknodat(2).
    """
    try:
        os.mknod(path_bytes(name), mode, os.makedev(major, minor), dir_fd=dirfd.__index__())
    except OSError as error:
        raise failure("mknodat", name, error.errno) from None


def verify_device(fd: SupportsIndex, major: int, minor: int, kind: int = stat.S_IFCHR) -> None:
    """Return if `fd` (O_PATH too) is open on exactly this device.

    Raises: OSError: ENODEV, it is something else.
    """
    status = os.fstat(fd.__index__())
    found = (stat.S_IFMT(status.st_mode), status.st_rdev)
    if found != (kind, os.makedev(major, minor)):
        error = failure("fstat", None, errno.ENODEV)
        error.add_note(f"expected device {major}:{minor}, found mode {status.st_mode:#o}")
        raise error
