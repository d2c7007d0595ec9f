"""Fork into a control group: the child is born there, nobody has to move it.

Facts before policy:

- Moving a process (`cgroup.procs`) takes a lock that every fork and exit on the machine would have
  to wait for. Since they are many and moves are few, the lock is cheap for them and dear for the
  mover: the first one in a while waits for an RCU grace period, 5 to 20 ms.
- A child that clone3(2) makes with CLONE_INTO_CGROUP is in the version 2 cgroup from its first
  instruction, and that lock is only read.
- Version 1 has no such flag. But a process of one thread that moves itself, by writing 0 to
  `tasks`, cannot vanish meanwhile, so the kernel leaves the lock alone: see `cgroup.join`.

Source: clone3(2), "CLONE_INTO_CGROUP". Since: Linux 5.7, commit ef2c41cf38a7 ("clone3: allow
spawning processes into cgroups"); kernel/cgroup/cgroup.c, cgroup_procs_write_start.
"""

from __future__ import annotations

import struct

from onggi.linux import numbers
from onggi.linux._abi import c_char_p, c_long, c_size_t, check, forking_syscall

CLONE_PARENT = 0x00008000
CLONE_INTO_CGROUP = 0x200000000  # of clone3 alone, for it does not fit into 32 bits
_SIGCHLD = 17

# struct clone_args { __u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size,
# tls, set_tid, set_tid_size, cgroup; }, CLONE_ARGS_SIZE_VER2.
CLONE_ARGS = struct.Struct("=11Q")

_clone3 = forking_syscall(c_long, c_char_p, c_size_t)


def fork(flags: int = 0, *, cgroup_fd: int = -1) -> int:
    """Fork as os.fork does, with the child born in new namespaces and in a version 2 cgroup.

    The caller has one thread. Returns the child's PID, and 0 in the child.

    Args: flags: CLONE_NEW*, where a new user namespace owns the other new ones; CLONE_PARENT: the
        child is one of the caller's parent. cgroup_fd: the cgroup's directory; -1: the caller's.
    Raises: OSError: EPERM, no CAP_SYS_ADMIN; EOPNOTSUPP, the cgroup's type takes no processes;
        EBUSY, it passes controllers on; EAGAIN, its pids.max is reached.
    """
    if cgroup_fd >= 0:
        flags |= CLONE_INTO_CGROUP
    group = max(cgroup_fd, 0)
    signal = 0 if flags & CLONE_PARENT else _SIGCHLD  # a sibling's is what the caller's is
    arguments = CLONE_ARGS.pack(flags, 0, 0, 0, signal, 0, 0, 0, 0, 0, group)
    return check(_clone3(numbers.number("clone3"), arguments, CLONE_ARGS.size), "clone3")
