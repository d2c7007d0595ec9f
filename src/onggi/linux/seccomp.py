"""Loading seccomp filters: programs in classic BPF that judge every system call.

A filter sees struct seccomp_data, 64 bytes: the number, the architecture, the instruction pointer
and six 64-bit arguments in the machine's byte order. Filters add up: the strictest answer wins,
and none can be taken away again. What an argument points to can't be judged: it may change.

Source: seccomp(2); Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import errno
import struct

from onggi.linux._abi import address_of, bind_syscall, buffer, c_char_p, c_uint, check, failure

# <linux/audit.h>: ELF machine, plus one bit for 64-bit and one for little-endian.
AUDIT_ARCH_X86_64 = 0xC000003E  # x32 has it too, with X32_SYSCALL_BIT in the number
AUDIT_ARCH_I386 = 0x40000003
AUDIT_ARCH_AARCH64 = 0xC00000B7
AUDIT_ARCH_ARM = 0x40000028
X32_SYSCALL_BIT = 0x40000000

# Answers, from the strictest; the low 16 bits carry data (an errno, say).
SECCOMP_RET_KILL_PROCESS = 0x80000000
SECCOMP_RET_KILL_THREAD = 0x00000000
SECCOMP_RET_TRAP = 0x00030000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_RET_TRACE = 0x7FF00000
SECCOMP_RET_LOG = 0x7FFC0000
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_DATA = 0x0000FFFF

# Offsets in struct seccomp_data. Argument n is at OFFSET_ARGS + 8 * n.
OFFSET_NR = 0
OFFSET_ARCH = 4
OFFSET_INSTRUCTION_POINTER = 8
OFFSET_ARGS = 16

SECCOMP_FILTER_FLAG_TSYNC = 1
SECCOMP_FILTER_FLAG_LOG = 2
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
SECCOMP_FILTER_FLAG_TSYNC_ESRCH = 16
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_GET_ACTION_AVAIL = 2

INSTRUCTION_SIZE = 8
MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

# struct sock_fprog { unsigned short len; struct sock_filter *filter; }, padded to the pointer.
SOCK_FPROG = struct.Struct("@HP")

_seccomp = bind_syscall("seccomp", c_uint, c_uint, c_char_p)


def load_filter(program: bytes, flags: int = 0) -> int:
    """Put `program` before every system call that this thread and its children make from now on.

    Needs no_new_privs, or CAP_SYS_ADMIN in the user namespace. With
    SECCOMP_FILTER_FLAG_TSYNC every thread of the process gets it, or none.

    Returns: 0; with SECCOMP_FILTER_FLAG_NEW_LISTENER the close-on-exec notification descriptor,
        which the caller owns.
    Raises: ValueError: not a whole number of instructions, or more than the kernel takes;
        OSError: EINVAL, the kernel's checker refuses the program; EACCES, neither privilege
        nor no_new_privs; ESRCH, with TSYNC, a thread that can't be brought along.
    Source: seccomp(2), SECCOMP_SET_MODE_FILTER. Since: Linux 3.17.
    """
    count, rest = divmod(len(program), INSTRUCTION_SIZE)
    if rest or not 0 < count <= MAX_INSTRUCTIONS:
        raise ValueError(f"a filter of {len(program)} bytes is no seccomp program")
    memory = buffer(program)
    header = SOCK_FPROG.pack(count, address_of(memory))
    result = check(_seccomp(_SECCOMP_SET_MODE_FILTER, flags, header), "seccomp")
    if result > 0 and not flags & SECCOMP_FILTER_FLAG_NEW_LISTENER:
        raise failure("seccomp", None, errno.ESRCH)  # the thread id of one that TSYNC can't reach
    return result


def supports_flag(flag: int) -> bool:
    """Tell whether the kernel knows a SECCOMP_FILTER_FLAG_*: only then it looks for a program.

    Source: seccomp(2), "ERRORS"; libseccomp src/system.c, sys_chk_seccomp_flag.
    """
    try:
        check(_seccomp(_SECCOMP_SET_MODE_FILTER, flag, None), "seccomp")
    except OSError as error:
        if error.errno not in (errno.EFAULT, errno.EINVAL):
            raise
        return error.errno == errno.EFAULT
    raise AssertionError("a filter without a program was loaded")


def action_available(action: int) -> bool:
    """Tell whether the kernel knows SECCOMP_RET_* `action`.

    Source: seccomp(2), SECCOMP_GET_ACTION_AVAIL. Since: Linux 4.14.
    """
    try:
        check(_seccomp(_SECCOMP_GET_ACTION_AVAIL, 0, struct.pack("=I", action)), "seccomp")
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return False
        raise
    return True
