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
MOST_FDS = 16  # with one message
STREAM = int(_socket.SOCK_STREAM)
_INT = struct.Struct("=i")
_TIMEVAL = struct.Struct("@ll")  # struct timeval { time_t tv_sec; suseconds_t tv_usec; }
_CREDENTIALS = struct.Struct("=iII")  # struct ucred { pid_t pid; uid_t uid; gid_t gid; }


class CutShort(OSError):
    """A message that did not arrive whole; nothing of it is left.

    EMSGSIZE: it is longer than any that is sent here. EMFILE: descriptors got lost, for this
    process has as many as it may have.
    """


def pair() -> tuple[int, int]:
    """Return two connected, close-on-exec descriptors; the caller owns both."""
    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    return one.detach(), other.detach()


def listen(path: str) -> int:
    """Make a socket at `path` that others may `connect` to; only the caller's user may.

    Returns: a close-on-exec descriptor the caller owns; the file stays when it is closed.
    Raises: OSError: EADDRINUSE, the name is taken; ENAMETOOLONG, more than 107 bytes.
    Source: unix(7), "Pathname sockets".
    """
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        before = os.umask(0o177)
        try:
            server.bind(path)
        finally:
            os.umask(before)
        server.listen(1)
        return server.detach()
    except OSError as error:
        server.close()
        raise _named(error, path) from None


def accept(fd: int) -> int:
    """Wait for somebody to connect to the socket `fd`; return our end, which the caller owns."""
    server = _socket.socket(fileno=fd)
    try:
        # What `socket` builds accept of. Descriptors are what is wanted here, not objects.
        accepted: int = server._accept()[0]  # type: ignore[attr-defined]
        return accepted
    finally:
        server.detach()


def connect(path: str, kind: int = _socket.SOCK_SEQPACKET, *, patience: float = 0) -> int:
    """Connect to the socket at `path`; return our end, close-on-exec, which the caller owns.

    Args: kind: SOCK_STREAM for a socket of another program's, as which `send` works, too. patience:
        for how many seconds to wait at most for whoever listens, now and whenever something is
        sent; 0 is for ever.
    Raises: OSError: ENOENT, there is none; ECONNREFUSED, nobody listens any more; EPROTOTYPE, it
        is of another kind; EAGAIN, so many wait already that patience came to an end.
    """
    client = _socket.socket(_socket.AF_UNIX, kind)
    try:
        client.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, _timeval(patience))
        client.connect(path)
        return client.detach()
    except OSError as error:
        client.close()
        raise _named(error, path) from None


def limit_wait(fd: int, seconds: float) -> None:
    """Have `receive` on `fd` give up after so long, with BlockingIOError; 0 is never.

    Source: socket(7), SO_RCVTIMEO.
    """
    channel = _socket.socket(fileno=fd)
    try:
        channel.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, _timeval(seconds))
    finally:
        channel.detach()


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return _TIMEVAL.pack(whole, int((seconds - whole) * 1_000_000))


def _named(error: OSError, path: str) -> OSError:
    code = error.errno or errno.ENAMETOOLONG  # what `_socket` finds too long has no number
    return OSError(code, os.strerror(code), path)


def send(fd: int, data: bytes, fds: tuple[int, ...] = ()) -> None:
    """Send one message, with copies of the descriptors `fds`, whole or not at all.

    Args: data: 1 to MOST_BYTES bytes. fds: at most MOST_FDS.
    Raises: BrokenPipeError: the other end is closed; BlockingIOError: `fd` does not block and the
        buffer is full; OSError: EMSGSIZE, there is more than a message may hold.
    """
    if not data:
        raise ValueError("an empty message would mean the end")
    if len(data) > MOST_BYTES or len(fds) > MOST_FDS:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
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
    Raises: CutShort: it did not arrive whole; BlockingIOError: `fd` does not block, and there is
        none.
    Source: recvmsg(2), MSG_TRUNC and MSG_CTRUNC.
    """
    data, fds, _ = receive_from(fd)
    return data, fds


def name_senders(fd: int) -> None:
    """Have the kernel tell with each message to `fd` who sent it; for those sent from now on.

    Source: unix(7), SO_PASSCRED.
    """
    channel = _socket.socket(fileno=fd)
    try:
        channel.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
    finally:
        channel.detach()


def receive_from(fd: int) -> tuple[bytes, list[int], int]:
    """Receive as `receive` does; return the sender's PID, too.

    The PID is what the kernel says, as seen from the receiver's PID namespace: a sender may name
    another only with CAP_SYS_ADMIN over its own. It is 0 if `name_senders` was not called, or the
    sender is in no PID namespace that is seen from here.
    Source: unix(7), "SCM_CREDENTIALS".
    """
    channel = _socket.socket(fileno=fd)
    try:
        room = _socket.CMSG_SPACE(MOST_FDS * _INT.size) + _socket.CMSG_SPACE(_CREDENTIALS.size)
        try:
            data, ancillary, flags, _ = channel.recvmsg(MOST_BYTES, room, _socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            data, ancillary, flags, _ = channel.recvmsg(MOST_BYTES, room, _socket.MSG_CMSG_CLOEXEC)
    finally:
        channel.detach()
    fds = _descriptors(ancillary)
    if flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC):
        for number in fds:
            os.close(number)
        code = errno.EMSGSIZE if flags & _socket.MSG_TRUNC else errno.EMFILE
        raise CutShort(code, os.strerror(code))
    return data, fds, _sender(ancillary)


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, content in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_CREDENTIALS:
            pid: int = _CREDENTIALS.unpack(content)[0]
            return pid
    return 0


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds: list[int] = []
    for level, kind, rights in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            whole = len(rights) - len(rights) % _INT.size
            fds += [number for (number,) in _INT.iter_unpack(rights[:whole])]
    return fds
