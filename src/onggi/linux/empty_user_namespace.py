"""A user namespace that nobody lives in, for mounts that are to show other owners.

It is known by a descriptor alone and ends with that; what an idmapped mount takes from it is its
mappings.

Source: mount_setattr(2), "ID-mapped mounts"; user_namespaces(7).
"""

from __future__ import annotations

import os

from onggi.linux import channel, namespace


def make(uid_map: str, gid_map: str) -> int:
    """Make a user namespace with these mappings; return a descriptor that the caller owns.

    The caller has one thread, CAP_SETUID and CAP_SETGID, and /proc may show another PID namespace
    than its own, if that is one above.

    Args: uid_map, gid_map: as written to the files of that name.
    Raises: OSError: EINVAL, a mapping that overlaps or is empty; EPERM.
    """
    ours, theirs = channel.pair()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _be_first(theirs)
    os.close(theirs)
    try:
        message, fds = channel.receive(ours)
        if len(fds) != 1:
            raise OSError(int(message or b"5"), os.strerror(int(message or b"5")), "user namespace")
        try:
            for file, text in (("uid_map", uid_map), ("gid_map", gid_map)):
                _write(f"/proc/{message.decode()}/{file}", text)
        except OSError:
            os.close(fds[0])
            raise
        return fds[0]
    finally:
        os.close(ours)  # which ends it
        os.waitpid(pid, 0)


def _be_first(theirs: int) -> None:
    """Make the namespace, pass it on with our PID as /proc has it, and wait for the mappings."""
    try:
        namespace.unshare(namespace.CLONE_NEWUSER)
        own = os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        channel.send(theirs, os.readlink(b"/proc/self"), (own,))
        channel.receive(theirs)  # nothing: until the other end is closed
    except OSError as error:
        channel.send(theirs, b"%d" % (error.errno or 5))
    finally:
        os._exit(0)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())  # in one write, as the kernel demands
    finally:
        os.close(fd)
