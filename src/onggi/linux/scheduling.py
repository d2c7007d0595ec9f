"""When a process gets a processor, its share of the disks, where its memory lies, what it sees.

Source: sched_setattr(2), sched(7), ioprio_set(2), set_mempolicy(2), personality(2);
<linux/sched/types.h>.
"""

from __future__ import annotations

import struct

from onggi.linux._abi import bind_syscall, c_char_p, c_int, c_uint, c_ulong, check

POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,  # reserved, and refused by every kernel so far
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
POLICY_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,  # since Linux 5.15
    "MPOL_WEIGHTED_INTERLEAVE": 6,  # since Linux 6.9
}
MEMORY_FLAGS = {
    "MPOL_F_NUMA_BALANCING": 1 << 13,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_STATIC_NODES": 1 << 15,
}
MOST_NODES = 1024
# What personality(2) may change beside the domain: <linux/personality.h>.
PERSONALITY_FLAGS = {
    "UNAME26": 0x0020000,
    "ADDR_NO_RANDOMIZE": 0x0040000,
    "FDPIC_FUNCPTRS": 0x0080000,
    "MMAP_PAGE_ZERO": 0x0100000,
    "ADDR_COMPAT_LAYOUT": 0x0200000,
    "READ_IMPLIES_EXEC": 0x0400000,
    "ADDR_LIMIT_32BIT": 0x0800000,
    "SHORT_INODE": 0x1000000,
    "WHOLE_SECONDS": 0x2000000,
    "STICKY_TIMEOUTS": 0x4000000,
    "ADDR_LIMIT_3GB": 0x8000000,
}

# struct sched_attr { __u32 size, sched_policy; __u64 sched_flags; __s32 sched_nice;
# __u32 sched_priority; __u64 sched_runtime, sched_deadline, sched_period; }, SCHED_ATTR_SIZE_VER0.
SCHED_ATTR = struct.Struct("=IIQiIQQQ")

_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_SHIFT = 13

_sched_setattr = bind_syscall("sched_setattr", c_int, c_char_p, c_uint)
_ioprio_set = bind_syscall("ioprio_set", c_int, c_int, c_int)
_set_mempolicy = bind_syscall("set_mempolicy", c_int, c_char_p, c_ulong)


def set_policy(
    pid: int,
    policy: int,
    *,
    flags: int = 0,
    nice: int = 0,
    priority: int = 0,
    times: tuple[int, int, int] = (0, 0, 0),
) -> None:
    """Choose how process `pid` (0: the caller) is scheduled.

    Args: policy, flags: SCHED_*; times: runtime, deadline and period in nanoseconds.
    Raises: OSError: EINVAL, they do not fit together; EPERM, no CAP_SYS_NICE.
    Source: sched_setattr(2). Since: Linux 3.14.
    """
    size = SCHED_ATTR.size
    attributes = SCHED_ATTR.pack(size, policy, flags, nice, priority, *times)
    check(_sched_setattr(pid, attributes, 0), "sched_setattr")


def set_io_priority(pid: int, io_class: int, priority: int) -> None:
    """Set the class and priority (0 to 7) of what process `pid` (0: the caller) reads and writes.

    Raises: OSError: EINVAL; EPERM, no right to the real-time class.
    Source: ioprio_set(2).
    """
    value = io_class << _IOPRIO_CLASS_SHIFT | priority
    check(_ioprio_set(_IOPRIO_WHO_PROCESS, pid, value), "ioprio_set")


def set_memory_policy(mode: int, nodes: frozenset[int]) -> None:
    """Choose the memory nodes that new pages of the calling thread come from.

    Args: mode: MPOL_* with flags.
    Raises: OSError: EINVAL, mode and nodes do not fit together, or a node is not there.
    Source: set_mempolicy(2).
    """
    bits = sum(1 << node for node in nodes)
    mask = bits.to_bytes(MOST_NODES // 8, "little") if nodes else None
    most = MOST_NODES + 1 if nodes else 0  # the kernel takes one off
    check(_set_mempolicy(mode, mask, most), "set_mempolicy")
