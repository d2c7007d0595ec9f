"""What the kernel tells of a process through its pidfd, also once the process is gone."""

from __future__ import annotations

import struct

from onggi.linux._abi import bind, buffer, c_int, c_ulong, c_void_p, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

# struct pidfd_info { __u64 mask, cgroupid; __u32 pid, tgid, ppid, ruid, rgid, euid, egid, suid,
# sgid, fsuid, fsgid; __s32 exit_code; }, PIDFD_INFO_SIZE_VER0.
PIDFD_INFO = struct.Struct("=QQ11Ii")
PIDFD_INFO_EXIT = 1 << 3

# _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)
_PIDFD_GET_INFO = 3 << 30 | PIDFD_INFO.size << 16 | 0xFF << 8 | 11

_ioctl = bind("ioctl", c_int, c_ulong, c_void_p)


def exit_status(pidfd: SupportsIndex) -> int:
    """Return how the process ended, as waitpid(2) would have said, whosever child it was.

    Raises: OSError: ENOTTY or EINVAL, the kernel cannot tell; ESRCH, it has not ended.
    Since: Linux 6.15, commit 7477d7dce48a ("pidfs: allow to retrieve exit information").
    Source: <linux/pidfd.h>.
    """
    memory = buffer(PIDFD_INFO.pack(PIDFD_INFO_EXIT, *[0] * 13))
    check(_ioctl(pidfd, _PIDFD_GET_INFO, memory), "ioctl")
    fields = PIDFD_INFO.unpack(memory.raw)
    if not fields[0] & PIDFD_INFO_EXIT:
        raise ProcessLookupError(3, "the process has not ended, or was never waited for")
    return int(fields[-1])
