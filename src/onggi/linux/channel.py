"""Sockets between our own processes: whole messages in order, descriptors beside them.

SOCK_SEQPACKET keeps the bounds of each message, so no framing is needed, and read(2) and write(2)
work on it as well; an empty message never occurs, so a read of nothing means that the other end is
closed. The C module below `socket` is used by itself: the rest costs eight milliseconds to import.

An end that is closed while messages to it lie unread lets the other end see ECONNRESET, once, even
before messages that it had sent itself; those can still be received.

Source: unix(7), "SCM_RIGHTS"; cmsg(3); the kernel's net/unix/af_unix.c, unix_release_sock.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct

MOST_BYTES = 64 * 1024  # of one message; far below the kernel's bound on a socket's buffer
_MOST_FDS = 16
_INT = struct.Struct("=i")


def pair() -> tuple[int, int]:
    """Return two connected, close-on-exec descriptors; the caller owns both."""
    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    return one.detach(), other.detach()


def send(fd: int, data: bytes, fds: tuple[int, ...] = ()) -> None:
    """Send one message, with copies of the descriptors `fds`.

    Raises: BrokenPipeError: the other end is closed; BlockingIOError: `fd` does not block and the
        buffer is full.
    """
    channel = _socket.socket(fileno=fd)
    try:
        rights = b"".join(_INT.pack(one) for one in fds)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if fds else []
        channel.sendmsg([data], ancillary, _socket.MSG_NOSIGNAL)
    except ConnectionResetError as error:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
    finally:
        channel.detach()


def receive(fd: int) -> tuple[bytes, list[int]]:
    """Wait for one message and return it with the descriptors that came along, close-on-exec.

    Returns: (data, descriptors the caller owns); no data when the other end is closed.
    """
    channel = _socket.socket(fileno=fd)
    try:
        room = _socket.CMSG_SPACE(_MOST_FDS * _INT.size)
        try:
            data, ancillary, _, _ = channel.recvmsg(MOST_BYTES, room, _socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            data, ancillary, _, _ = channel.recvmsg(MOST_BYTES, room, _socket.MSG_CMSG_CLOEXEC)
    finally:
        channel.detach()
    fds: list[int] = []
    for level, kind, rights in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            whole = len(rights) - len(rights) % _INT.size
            fds += [number for (number,) in _INT.iter_unpack(rights[:whole])]
    return data, fds
