"""Network interfaces, as far as one ioctl reaches. Everything else is netlink's.

Source: netdevice(7).
"""

from __future__ import annotations

import struct

from onggi.linux._abi import bind, buffer, c_int, c_ulong, c_void_p, check
from onggi.linux.fd import Fd

_AF_UNIX = 1  # every socket takes the interface ioctls, and this family is in every kernel
_SOCK_DGRAM = 2
_SOCK_CLOEXEC = 0o2000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
IFF_UP = 1

# struct ifreq { char ifr_name[16]; union { short ifr_flags; ... } }, 40 bytes on 64-bit machines.
IFREQ = struct.Struct("=16sH22x")

_socket = bind("socket", c_int, c_int, c_int)
_ioctl = bind("ioctl", c_int, c_ulong, c_void_p)


def flags(name: bytes = b"lo") -> int:
    """Read an interface's flags (IFF_*). Source: netdevice(7), SIOCGIFFLAGS."""
    with Fd(check(_socket(_AF_UNIX, _SOCK_DGRAM | _SOCK_CLOEXEC, 0), "socket")) as socket:
        return _flags(socket, name)


def loopback_up() -> None:
    """Bring up "lo" in the caller's network namespace; already up is fine.

    The kernel gives it 127.0.0.1/8 and ::1/128 by itself.

    Source: netdevice(7), SIOCSIFFLAGS.
    """
    with Fd(check(_socket(_AF_UNIX, _SOCK_DGRAM | _SOCK_CLOEXEC, 0), "socket")) as socket:
        request = buffer(IFREQ.pack(b"lo", _flags(socket, b"lo") | IFF_UP))
        check(_ioctl(socket, _SIOCSIFFLAGS, request), "ioctl")


def _flags(socket: Fd, name: bytes) -> int:
    request = buffer(IFREQ.pack(name, 0))
    check(_ioctl(socket, _SIOCGIFFLAGS, request), "ioctl")
    value: int = IFREQ.unpack(request.raw)[1]
    return value
