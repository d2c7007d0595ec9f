"""Routing netlink, as far as moving an interface into another network namespace takes.

Facts before policy:

- A socket belongs to the network namespace that its maker is in at that moment, wherever it goes.
- An interface that changes its namespace is taken down and loses its addresses; hardware address
  and MTU stay. Its index stays too, unless the other namespace uses that already.
- The kernel takes a name with %d in it as a template, of which it makes one that is free.

Source: rtnetlink(7), netlink(7); kernel net/core/dev.c, __dev_change_net_namespace;
net/core/rtnetlink.c, do_setlink.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self, SupportsIndex

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLM_F_REQUEST = 0x1
_NLM_F_ACK = 0x4
_NLM_F_DUMP = 0x300
_NLM_F_EXCL = 0x200
_NLM_F_CREATE = 0x400

_RTM_SETLINK = 19
_RTM_NEWADDR = 20
_RTM_GETADDR = 22

_IFLA_IFNAME = 3
_IFLA_NET_NS_FD = 28
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_BROADCAST = 4
_IFA_FLAGS = 8

IFA_F_PERMANENT = 0x80
RT_SCOPE_UNIVERSE = 0
_IFF_UP = 1
# Flags that whoever sets an address chooses; the kernel sets the others itself: <linux/if_addr.h>.
_IFA_CHOSEN = 0x02 | 0x10 | 0x100 | 0x200 | 0x400

# struct nlmsghdr, ifinfomsg, ifaddrmsg, rtattr.
NLMSGHDR = struct.Struct("=IHHII")
IFINFOMSG = struct.Struct("=BxHiII")
IFADDRMSG = struct.Struct("=BBBBI")
RTATTR = struct.Struct("=HH")
_MOST_BYTES = 1 << 16
MOST_NAME_BYTES = 15


class Address:
    """An address of an interface, as rtnetlink tells it: attributes as they came."""

    __slots__ = ("attributes", "family", "flags", "prefix", "scope")

    def __init__(
        self, family: int, prefix: int, scope: int, flags: int, attributes: dict[int, bytes]
    ) -> None:
        self.family = family
        self.prefix = prefix  # in bits
        self.scope = scope
        self.flags = flags
        self.attributes = attributes


class Routing:
    """A netlink socket in the caller's network namespace of now; a context manager."""

    __slots__ = ("_sequence", "_socket")

    def __init__(self) -> None:
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
        self._socket = _socket.socket(_socket.AF_NETLINK, kind, 0)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def move(self, index: int, namespace_fd: SupportsIndex, name: str) -> None:
        """Put an interface into another network namespace, where it has `name` and is down.

        Raises: OSError: EEXIST, the name is taken there; ENODEV, there is no such interface;
            EINVAL, it can't leave its namespace, as the loopback interface.
        """
        attributes = _attribute(_IFLA_NET_NS_FD, struct.pack("=I", namespace_fd.__index__()))
        attributes += _attribute(_IFLA_IFNAME, os.fsencode(name) + b"\0")
        self._set_link(IFINFOMSG.pack(0, 0, index, 0, 0) + attributes, name)

    def set_up(self, index: int) -> None:
        """Bring an interface up."""
        self._set_link(IFINFOMSG.pack(0, 0, index, _IFF_UP, _IFF_UP), str(index))

    def addresses(self, index: int) -> list[Address]:
        """List the addresses of an interface, of all families."""
        found = []
        for payload in self._ask(_RTM_GETADDR, _NLM_F_DUMP, IFADDRMSG.pack(0, 0, 0, 0, 0), ""):
            family, prefix, flags, scope, owner = IFADDRMSG.unpack_from(payload)
            if owner == index:
                attributes = dict(_attributes(payload[IFADDRMSG.size :]))
                if _IFA_FLAGS in attributes:
                    (flags,) = struct.unpack("=I", attributes[_IFA_FLAGS])
                found.append(Address(family, prefix, scope, flags, attributes))
        return found

    def add_address(self, index: int, address: Address) -> None:
        """Give an interface an address that another was known to have."""
        head = IFADDRMSG.pack(address.family, address.prefix, 0, address.scope, index)
        kept = [
            _attribute(kind, address.attributes[kind])
            for kind in (_IFA_LOCAL, _IFA_ADDRESS, _IFA_BROADCAST)
            if kind in address.attributes
        ]
        flags = _attribute(_IFA_FLAGS, struct.pack("=I", address.flags & _IFA_CHOSEN))
        body = head + b"".join(kept) + flags
        for _ in self._ask(_RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_EXCL | _NLM_F_ACK, body, ""):
            pass

    def _set_link(self, body: bytes, name: str) -> None:
        for _ in self._ask(_RTM_SETLINK, _NLM_F_ACK, body, name):
            pass

    def _ask(self, kind: int, flags: int, body: bytes, name: str) -> Iterator[bytes]:
        """Send a request and yield the payloads that answer it, until the kernel says that is all.

        Raises: OSError: what the kernel answers, with `name` as its file name if there is one.
        """
        self._sequence += 1
        size = NLMSGHDR.size + len(body)
        head = NLMSGHDR.pack(size, kind, _NLM_F_REQUEST | flags, self._sequence, 0)
        self._socket.send(head + body)
        while True:
            for answered, payload in self._messages(self._socket.recv(_MOST_BYTES)):
                if answered in (_NLMSG_ERROR, _NLMSG_DONE):
                    _raise_for(payload, name)
                    return
                yield payload

    def _messages(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (type, payload) of the messages that answer the last request."""
        while len(data) >= NLMSGHDR.size:
            size, kind, _, sequence, _ = NLMSGHDR.unpack_from(data)
            if sequence == self._sequence:
                yield kind, data[NLMSGHDR.size : size]
            data = data[_aligned(max(size, NLMSGHDR.size)) :]


def _raise_for(payload: bytes, name: str) -> None:
    (code,) = struct.unpack_from("=i", payload)
    if code:
        raise OSError(-code, os.strerror(-code), name or None)


def _aligned(size: int) -> int:
    return (size + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    size = RTATTR.size + len(value)
    return RTATTR.pack(size, kind) + value + bytes(_aligned(size) - size)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= RTATTR.size:
        size, kind = RTATTR.unpack_from(data)
        if size < RTATTR.size:
            return
        yield kind & 0x3FFF, data[RTATTR.size : size]
        data = data[_aligned(size) :]


def interfaces() -> dict[str, int]:
    """Return the interfaces of the caller's network namespace: {name: index}."""
    return {name: index for index, name in _socket.if_nameindex()}


def index_of(name: str) -> int:
    """Return the index of an interface. Raises: OSError: ENODEV, there is none of that name."""
    try:
        return _socket.if_nametoindex(name)
    except OSError as error:
        raise OSError(errno.ENODEV, "no such network interface", name) from error


def is_name(name: str) -> bool:
    """Tell whether an interface may have this name: kernel net/core/dev.c, dev_valid_name."""
    if not 0 < len(os.fsencode(name)) <= MOST_NAME_BYTES or name in (".", ".."):
        return False
    return not any(character in "/:" or character.isspace() for character in name)
