"""Namespaces: making and entering them.

Thread rules, from the man pages: unshare(2) of a user namespace fails with EINVAL in a process of
several threads, as does setns(2) into a user or (since it shares filesystem attributes) a mount
namespace. A new PID namespace holds only children made afterwards. So all of this happens in a
fresh, single-threaded child, never in a process that others rely on.
"""

from __future__ import annotations

from onggi.linux._abi import bind, c_int, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

# clone(2) flags: <linux/sched.h>.
CLONE_NEWTIME = 0x00000080  # since Linux 5.6; unshare(2), setns(2) and clone3(2) only
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000  # since Linux 4.6
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_FS = 0x00000200
CLONE_FILES = 0x00000400

# The runtime specification's name -> (flag, file in /proc/PID/ns).
NAMESPACES = {
    "user": (CLONE_NEWUSER, "user"),
    "cgroup": (CLONE_NEWCGROUP, "cgroup"),
    "ipc": (CLONE_NEWIPC, "ipc"),
    "uts": (CLONE_NEWUTS, "uts"),
    "network": (CLONE_NEWNET, "net"),
    "pid": (CLONE_NEWPID, "pid"),
    "time": (CLONE_NEWTIME, "time"),
    "mount": (CLONE_NEWNS, "mnt"),
}

# Parameters of System V IPC. Source: ipc_namespaces(7).
_IPC_PARAMETERS = (
    *("kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall"),
    *("kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"),
)

_unshare = bind("unshare", c_int)
_setns = bind("setns", c_int, c_int)


def of_parameter(name: str) -> str:
    """Return the kind of namespace that has its own value of a kernel parameter; "": none has.

    Args: name: with dots, as sysctl(8) writes it.
    Source: namespaces(7), ipc_namespaces(7), network_namespaces(7), uts_namespaces(7).
    """
    if name in _IPC_PARAMETERS or name.startswith("fs.mqueue."):
        return "ipc"
    if name.startswith("net."):
        return "network"
    return "uts" if name == "kernel.domainname" else ""


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` (CLONE_NEW*) for new ones.

    CLONE_NEWPID and CLONE_NEWTIME apply to children made from now on, the rest to the caller.

    Raises: OSError: EPERM, no CAP_SYS_ADMIN; EINVAL, an unknown flag, or several threads;
        ENOSPC, too many namespaces (/proc/sys/user/max_*_namespaces) or too deeply nested.
    Source: unshare(2), namespaces(7).
    """
    check(_unshare(flags), "unshare")


def setns(fd: SupportsIndex, nstype: int = 0) -> None:
    """Enter the namespace that `fd` refers to, or with a pidfd those of its process.

    Args: nstype: CLONE_NEW* the namespace must be of, or 0 for any; with a pidfd (since
        Linux 5.8) the namespaces to enter, all of them or none.
    Source: setns(2).
    """
    check(_setns(fd, nstype), "setns")
