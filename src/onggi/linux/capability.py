"""Capabilities: a thread's sets, its bounding set and its ambient set.

A set is an int here: bit n stands for capability number n. What becomes of the sets at execve is
told in capabilities(7), "Transformation of capabilities during execve()"; in short, a program of
root gets (inheritable | bounding), any other one what is ambient.

Source: capabilities(7); <linux/capability.h>.
"""

from __future__ import annotations

import struct

from onggi.linux._abi import bind, buffer, c_char_p, c_int, c_ulong, c_void_p, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBERS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_LINUX_IMMUTABLE": 9,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_BROADCAST": 11,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_IPC_LOCK": 14,
    "CAP_IPC_OWNER": 15,
    "CAP_SYS_MODULE": 16,
    "CAP_SYS_RAWIO": 17,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_PACCT": 20,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_BOOT": 22,
    "CAP_SYS_NICE": 23,
    "CAP_SYS_RESOURCE": 24,
    "CAP_SYS_TIME": 25,
    "CAP_SYS_TTY_CONFIG": 26,
    "CAP_MKNOD": 27,
    "CAP_LEASE": 28,
    "CAP_AUDIT_WRITE": 29,
    "CAP_AUDIT_CONTROL": 30,
    "CAP_SETFCAP": 31,
    "CAP_MAC_OVERRIDE": 32,
    "CAP_MAC_ADMIN": 33,
    "CAP_SYSLOG": 34,
    "CAP_WAKE_ALARM": 35,
    "CAP_BLOCK_SUSPEND": 36,
    "CAP_AUDIT_READ": 37,
    "CAP_PERFMON": 38,  # since Linux 5.8
    "CAP_BPF": 39,  # since Linux 5.8
    "CAP_CHECKPOINT_RESTORE": 40,  # since Linux 5.9
}

# struct __user_cap_header_struct { __u32 version; int pid; } and, for version 3, two of
# struct __user_cap_data_struct { __u32 effective, permitted, inheritable; }, low bits first.
HEADER = struct.Struct("=Ii")
DATA = struct.Struct("=6I")
_VERSION_3 = 0x20080522

_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_IS_SET = 1
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_capget = bind("capget", c_char_p, c_void_p)
_capset = bind("capset", c_char_p, c_char_p)
_prctl = bind("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)


_MOST_CAPABILITIES = 64  # the sets have that many bits


def mask(names: Iterable[str]) -> int:
    """Make the set of the capabilities named, such as "CAP_CHOWN".

    Raises: KeyError: a name that is not in NUMBERS.
    """
    bits = 0
    for name in names:
        bits |= 1 << NUMBERS[name]
    return bits


def names(bits: int) -> tuple[str, ...]:
    """Name the capabilities of a set, in the kernel's order; what has no name here is left out."""
    return tuple(name for name, number in NUMBERS.items() if bits >> number & 1)


def of_file(raw: bytes) -> tuple[int, bool]:
    """Read the extended attribute `security.capability`.

    Returns: (permitted and inheritable together, whether they are effective at once).
    Raises: ValueError: it has a form that the kernel does not know.
    Source: <linux/capability.h>, struct vfs_ns_cap_data.
    """
    forms = {0x01000000: 12, 0x02000000: 20, 0x03000000: 24}
    magic = int.from_bytes(raw[:4], "little")
    if forms.get(magic & 0xFF000000) != len(raw):
        raise ValueError(f"{raw.hex()} is no security.capability")
    words = [int.from_bytes(raw[at : at + 4], "little") for at in range(4, min(len(raw), 20), 4)]
    bits = words[0] | words[1]
    if len(words) == 4:
        bits |= (words[2] | words[3]) << 32
    return bits, bool(magic & 1)


def last_cap() -> int:
    """Tell the highest capability number this kernel knows, by asking for each.

    Source: prctl(2), PR_CAPBSET_READ: EINVAL beyond the last.
    """
    number = max(NUMBERS.values())
    while number >= 0 and _prctl(_PR_CAPBSET_READ, number, 0, 0, 0) < 0:
        number -= 1
    while _prctl(_PR_CAPBSET_READ, number + 1, 0, 0, 0) >= 0:
        number += 1
    return number


def capget(pid: int = 0) -> tuple[int, int, int]:
    """Read the sets of thread `pid`, 0 for the caller.

    Returns: (effective, permitted, inheritable).
    Source: capget(2).
    """
    memory = buffer(DATA.size)
    check(_capget(HEADER.pack(_VERSION_3, pid), memory), "capget")
    words = DATA.unpack(memory.raw)
    effective, permitted, inheritable = (words[i] | words[i + 3] << 32 for i in range(3))
    return effective, permitted, inheritable


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the calling thread's own sets, all three at once.

    Raises: OSError: EPERM, a bit that may not be raised (permitted ones never can be).
    Source: capset(2).
    """
    sets = (effective, permitted, inheritable)
    words = [bits & 0xFFFFFFFF for bits in sets] + [bits >> 32 for bits in sets]
    check(_capset(HEADER.pack(_VERSION_3, 0), DATA.pack(*words)), "capset")


def bounding() -> int:
    """Read the calling thread's bounding set. Source: prctl(2), PR_CAPBSET_READ."""
    bits = 0
    for number in range(last_cap() + 1):
        bits |= check(_prctl(_PR_CAPBSET_READ, number, 0, 0, 0), "prctl") << number
    return bits


def drop_bounding(mask_kept: int) -> None:
    """Drop all but `mask_kept` from the bounding set; those are gone for this process for good.

    Every capability the kernel knows is dropped, also one that this file has no name for.

    Raises: OSError: EPERM, no CAP_SETPCAP and something to drop.
    Source: prctl(2), PR_CAPBSET_DROP.
    """
    for number in range(_MOST_CAPABILITIES):
        if mask_kept >> number & 1 or _prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
            continue
        held = _prctl(_PR_CAPBSET_READ, number, 0, 0, 0)
        if held < 0:
            return  # beyond the last that this kernel knows
        if held:
            check(_prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "prctl")


def ambient() -> int:
    """Read the calling thread's ambient set. Source: prctl(2), PR_CAP_AMBIENT_IS_SET."""
    bits = 0
    for number in range(last_cap() + 1):
        is_set = _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_IS_SET, number, 0, 0)
        bits |= check(is_set, "prctl") << number
    return bits


def ambient_clear() -> None:
    """Empty the ambient set. Source: prctl(2), PR_CAP_AMBIENT_CLEAR_ALL. Since: Linux 4.3."""
    check(_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "prctl")


def ambient_raise(cap: int) -> None:
    """Add capability number `cap` to the ambient set.

    Raises: OSError: EPERM, it is not both permitted and inheritable, or securebits forbid it.
    Source: prctl(2), PR_CAP_AMBIENT_RAISE.
    Since: Linux 4.3, commit 58319057b784 ("capabilities: ambient capabilities").
    """
    check(_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, cap, 0, 0), "prctl")
