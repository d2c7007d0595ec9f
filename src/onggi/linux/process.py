"""What a process sets for itself, and how others are addressed without a race.

A pid may have become another process by the time it is used; a pidfd stands for one process only.
Across processes and files `onggi.linux.identity` tells them apart.
"""

from __future__ import annotations

import os
import struct

from onggi.linux._abi import (
    bind,
    bind_syscall,
    buffer,
    c_char_p,
    c_int,
    c_size_t,
    c_uint,
    c_ulong,
    c_void_p,
    check,
    path_bytes,
    string_array,
    text_bytes,
)
from onggi.linux.identity import boot_id as boot_id
from onggi.linux.identity import start_time as start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import SupportsIndex

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39

CLOSE_RANGE_UNSHARE = 2
CLOSE_RANGE_CLOEXEC = 4  # since Linux 5.11
LAST_FD = 2**32 - 1

MFD_CLOEXEC = 1
MFD_ALLOW_SEALING = 2
MFD_NOEXEC_SEAL = 8  # since Linux 6.3
MFD_EXEC = 16  # since Linux 6.3

F_ADD_SEALS = 1033
F_GET_SEALS = 1034
F_SEAL_SEAL = 1
F_SEAL_SHRINK = 2
F_SEAL_GROW = 4
F_SEAL_WRITE = 8
F_SEAL_FUTURE_WRITE = 16  # since Linux 5.1
F_SEAL_EXEC = 32  # since Linux 6.3

AT_EMPTY_PATH = 0x1000
AT_SYMLINK_NOFOLLOW = 0x100

_KEYCTL_JOIN_SESSION_KEYRING = 1

# personality(2) domains and flags: <linux/personality.h>.
PER_LINUX = 0
PER_LINUX32 = 8
PERSONALITY_QUERY = 0xFFFFFFFF

# Numbers of asm-generic/resource.h, which x86 and ARM use.
RLIMITS = {
    "RLIMIT_CPU": 0,
    "RLIMIT_FSIZE": 1,
    "RLIMIT_DATA": 2,
    "RLIMIT_STACK": 3,
    "RLIMIT_CORE": 4,
    "RLIMIT_RSS": 5,
    "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7,
    "RLIMIT_MEMLOCK": 8,
    "RLIMIT_AS": 9,
    "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11,
    "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13,
    "RLIMIT_RTPRIO": 14,
    "RLIMIT_RTTIME": 15,
}
RLIM_INFINITY = 2**64 - 1

# struct rlimit64 { __u64 rlim_cur, rlim_max; }.
RLIMIT64 = struct.Struct("=QQ")

_prctl = bind("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_prctl_name = bind("prctl", c_int, c_char_p)
_fcntl = bind("fcntl", c_int, c_int, c_int)
_sethostname = bind("sethostname", c_char_p, c_size_t)
_setdomainname = bind("setdomainname", c_char_p, c_size_t)
_personality = bind("personality", c_ulong)
_prlimit64 = bind("prlimit64", c_int, c_uint, c_char_p, c_void_p)
_memfd_create = bind("memfd_create", c_char_p, c_uint)
_pidfd_open = bind_syscall("pidfd_open", c_int, c_uint)
_pidfd_send_signal = bind_syscall("pidfd_send_signal", c_int, c_int, c_void_p, c_uint)
_pidfd_getfd = bind_syscall("pidfd_getfd", c_int, c_int, c_uint)
_execveat = bind_syscall("execveat", c_int, c_char_p, c_void_p, c_void_p, c_int)
_close_range = bind_syscall("close_range", c_uint, c_uint, c_uint)
_keyctl_join = bind_syscall("keyctl", c_int, c_char_p)


def set_no_new_privs() -> None:
    """Promise that no execve from here on grants privileges: for good, and inherited.

    Set-user-ID bits and file capabilities are ignored from then on.

    Source: prctl(2), PR_SET_NO_NEW_PRIVS. Since: Linux 3.5.
    """
    check(_prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def no_new_privs() -> bool:
    """Tell whether `set_no_new_privs` is in force. Source: prctl(2), PR_GET_NO_NEW_PRIVS."""
    return check(_prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), "prctl") == 1


def set_dumpable(dumpable: bool) -> None:
    """Allow or forbid others of our user to trace us and to open what is in our /proc/PID.

    While it is forbidden, /proc/PID belongs to root and its magic links (exe, fd/N, root) ask
    for CAP_SYS_PTRACE in our user namespace. execve sets it anew.

    Source: prctl(2), PR_SET_DUMPABLE; proc(5), "/proc/pid".
    """
    check(_prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0), "prctl")


def dumpable() -> bool:
    """Tell what `set_dumpable` set. Source: prctl(2), PR_GET_DUMPABLE."""
    return check(_prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0), "prctl") == 1


def set_pdeathsig(signal: int) -> None:
    """Have the kernel send us `signal` when our parent *thread* ends; 0 takes it back.

    Not inherited by children; cleared by a change of credentials. A parent that is gone before
    the call sends nothing, so compare os.getppid() afterwards.

    Source: PR_SET_PDEATHSIG(2const).
    """
    check(_prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")


def set_child_subreaper(reaper: bool = True) -> None:
    """Become the parent of descendants whose parent ends. Not inherited by children.

    Source: PR_SET_CHILD_SUBREAPER(2const). Since: Linux 3.4.
    """
    check(_prctl(_PR_SET_CHILD_SUBREAPER, int(reaper), 0, 0, 0), "prctl")


def set_keepcaps(keep: bool) -> None:
    """Keep the permitted capabilities when all user IDs change from 0; execve clears this.

    The effective ones are dropped all the same and must be raised again.

    Source: PR_SET_KEEPCAPS(2const).
    """
    check(_prctl(_PR_SET_KEEPCAPS, int(keep), 0, 0, 0), "prctl")


def set_name(name: str | bytes) -> None:
    """Name the calling thread, as ps shows it; cut to 15 bytes. Source: PR_SET_NAME(2const)."""
    check(_prctl_name(_PR_SET_NAME, text_bytes(name)), "prctl")


def pidfd_open(pid: int, flags: int = 0) -> int:
    """Open a descriptor that stands for process `pid` and becomes readable when it ends.

    Returns: a close-on-exec descriptor the caller owns.
    Raises: OSError: ESRCH, no such process.
    Source: pidfd_open(2).
    Since: Linux 5.3, commit 32fcb426ec00 ("pid: add pidfd_open()").
    """
    return check(_pidfd_open(pid, flags), "pidfd_open")


def pidfd_send_signal(pidfd: SupportsIndex, signal: int) -> None:
    """Send `signal` to exactly the process that `pidfd` stands for.

    Raises: OSError: ESRCH, it ended and was waited for.
    Source: pidfd_send_signal(2).
    Since: Linux 5.1, commit 3eb39f47934f ("signal: add pidfd_send_signal() syscall").
    """
    check(_pidfd_send_signal(pidfd, signal, None, 0), "pidfd_send_signal")


def pidfd_getfd(pidfd: SupportsIndex, fd: int) -> int:
    """Copy descriptor `fd` of the process that `pidfd` stands for.

    Returns: a close-on-exec descriptor the caller owns.
    Raises: OSError: EBADF, it has none of that number; EPERM, the caller may not trace it.
    Source: pidfd_getfd(2).
    Since: Linux 5.6, commit 8649c322f75c ("pid: Implement pidfd_getfd syscall").
    """
    return check(_pidfd_getfd(pidfd, fd, 0), "pidfd_getfd")


def execveat(
    dirfd: SupportsIndex,
    path: str | bytes,
    argv: Sequence[str | bytes],
    env: Sequence[str | bytes],
    flags: int = 0,
) -> None:
    """Become another program; returns only by raising.

    With an empty path and AT_EMPTY_PATH the program is the open file `dirfd` itself. A script
    opened close-on-exec can't be run so: its interpreter finds no file (ENOENT).

    Args: env: "NAME=value" strings.
    Source: execveat(2). Since: Linux 3.19.
    """
    arguments, environment = string_array(argv), string_array(env)
    result = _execveat(dirfd, path_bytes(path), arguments, environment, flags)
    check(result, "execveat", path or None)


def close_range(first: int, last: int = LAST_FD, flags: int = 0) -> None:
    """Close the descriptors `first` to `last`, or with CLOSE_RANGE_CLOEXEC mark them for exec.

    Source: close_range(2).
    Since: Linux 5.9, commit 278a5fbaed89 ("open: add close_range()").
    """
    check(_close_range(first, last, flags), "close_range")


def close_others(kept: Iterable[int], first: int = 3) -> None:
    """Close the descriptors from `first` on, but for those in `kept`."""
    begin = first
    for fd in sorted(number for number in set(kept) if number >= first):
        if fd > begin:
            close_range(begin, fd - 1)
        begin = fd + 1
    close_range(begin)


def memfd_create(name: str | bytes, flags: int = MFD_CLOEXEC) -> int:
    """Make an empty file that lies in memory and has no path.

    Returns: a descriptor the caller owns, close-on-exec by default.
    Raises: OSError: EINVAL, a flag unknown to this kernel; EACCES, the setting
        vm.memfd_noexec asks for MFD_NOEXEC_SEAL.
    Source: memfd_create(2). Since: Linux 3.17.
    """
    return check(_memfd_create(text_bytes(name), flags), "memfd_create", name)


def memory_file(name: str, content: bytes) -> int:
    """Make a file in memory that holds `content`, to be read from its beginning.

    Returns: a close-on-exec descriptor the caller owns.
    """
    fd = memfd_create(name)
    try:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def seal(fd: SupportsIndex, seals: int) -> None:
    """Forbid (F_SEAL_*) changes of a memfd made with MFD_ALLOW_SEALING, for everybody, for good.

    Raises: OSError: EBUSY, F_SEAL_WRITE while the file is mapped writable; EPERM, F_SEAL_SEAL.
    Source: F_ADD_SEALS(2const).
    """
    check(_fcntl(fd, F_ADD_SEALS, seals), "fcntl")


def seals(fd: SupportsIndex) -> int:
    """Read which seals are set. Source: F_GET_SEALS(2const)."""
    return check(_fcntl(fd, F_GET_SEALS, 0), "fcntl")


def join_session_keyring(name: str | bytes | None = None) -> int:
    """Leave the session keyring, which children share, for a new one (or for the one of `name`).

    Returns: the keyring's serial number.
    Raises: OSError: ENOSYS, a kernel without keys; EDQUOT, the user's quota of keys is used up.
    Source: keyctl(2), KEYCTL_JOIN_SESSION_KEYRING.
    """
    encoded = None if name is None else text_bytes(name)
    return check(_keyctl_join(_KEYCTL_JOIN_SESSION_KEYRING, encoded), "keyctl")


def setrlimit(resource: int, soft: int, hard: int, pid: int = 0) -> None:
    """Set a resource limit of process `pid`, 0 for the caller.

    Args: resource: a value of RLIMITS; soft, hard: 0 .. RLIM_INFINITY.
    Raises: OSError: EPERM, hard would be raised without CAP_SYS_RESOURCE; EINVAL, soft > hard.
    Source: prlimit(2).
    """
    check(_prlimit64(pid, resource, RLIMIT64.pack(soft, hard), None), "prlimit")


def getrlimit(resource: int, pid: int = 0) -> tuple[int, int]:
    """Read a resource limit of process `pid` as (soft, hard). Source: prlimit(2)."""
    memory = buffer(RLIMIT64.size)
    check(_prlimit64(pid, resource, None, memory), "prlimit")
    soft, hard = RLIMIT64.unpack(memory.raw)
    return soft, hard


def sethostname(name: str | bytes) -> None:
    """Name the caller's UTS namespace; at most 64 bytes, else EINVAL.

    Source: sethostname(2).
    """
    encoded = text_bytes(name)
    check(_sethostname(encoded, len(encoded)), "sethostname")


def setdomainname(name: str | bytes) -> None:
    """Set the NIS domain name of the UTS namespace; at most 64 bytes, else EINVAL.

    Source: setdomainname(2).
    """
    encoded = text_bytes(name)
    check(_setdomainname(encoded, len(encoded)), "setdomainname")


def personality(persona: int) -> int:
    """Set the execution domain and return the one before; PERSONALITY_QUERY only asks.

    Source: personality(2).
    """
    return check(_personality(persona), "personality")
