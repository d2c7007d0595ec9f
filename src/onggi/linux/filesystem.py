"""Telling what kind of filesystem an open file is on.

A path's name proves nothing about what is mounted there; the kernel's answer about a descriptor
does.

Source: statfs(2); <linux/magic.h>.
"""

from __future__ import annotations

import struct

from onggi.linux._abi import bind, buffer, c_int, c_void_p, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

CGROUP_SUPER_MAGIC = 0x27E0EB
CGROUP2_SUPER_MAGIC = 0x63677270
DEVPTS_SUPER_MAGIC = 0x1CD1
NSFS_MAGIC = 0x6E736673
OVERLAYFS_SUPER_MAGIC = 0x794C7630
PROC_SUPER_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572
TMPFS_MAGIC = 0x01021994

_STATFS_SIZE = 120  # struct statfs of 64-bit machines; f_type comes first, as a long

_fstatfs = bind("fstatfs", c_int, c_void_p)


def magic(fd: SupportsIndex) -> int:
    """Tell the magic number of the filesystem that `fd` (O_PATH too) is open on.

    Source: fstatfs(2), f_type.
    """
    memory = buffer(_STATFS_SIZE)
    check(_fstatfs(fd, memory), "fstatfs")
    number: int = struct.unpack_from("@l", memory.raw)[0]
    return number & 0xFFFFFFFF
