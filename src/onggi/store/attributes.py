"""What an inode has besides its contents: owner, mode, times, extended attributes.

Which extended attributes a layer carries:

- `user.*`, `trusted.*`, `security.capability`, POSIX access control lists: they are the image's;
- not `trusted.overlay.*`: overlayfs keeps its own books there, and a forged one would let a layer
  show files that it does not own (`redirect`, `metacopy`); in a user namespace, where nobody may
  write `trusted.*`, these books are `user.overlay.*`, and no other `trusted.*` can be carried;
- not `security.selinux`, `security.ima` and the like: they state this host's policy.

And every inode has an owner, which a user namespace may not know.

Source: overlayfs.rst, "Overlay specific xattrs", "User xattr"; xattr(7).
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.errors import Unsupported
from onggi.linux import user_namespace

_ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")


class UnknownOwner(Unsupported):
    """An owner who is none of the user's IDs."""

    def __init__(self, uid: int, gid: int) -> None:
        super().__init__(
            f"user {uid} or group {gid} is not among the IDs that this user may give away",
            hint="widen the user's ranges in /etc/subuid and /etc/subgid; see docs/rootless.md",
        )
        self.uid = uid
        self.gid = gid


def overlay_prefix() -> str:
    """Return how the names of overlayfs's own attributes begin, for who mounts it here."""
    return "trusted.overlay." if user_namespace.is_first() else "user.overlay."


def is_carried(name: str) -> bool:
    """Tell whether a layer carries this extended attribute."""
    if name.startswith("user."):
        return not name.startswith(overlay_prefix())
    if name.startswith("trusted."):
        return not name.startswith("trusted.overlay.") and user_namespace.is_first()
    return name == "security.capability" or name in _ACCESS_LISTS


def carried_xattrs(place: int | bytes | str) -> dict[str, bytes]:
    """Read the extended attributes that a layer carries; a path is not followed."""
    names = sorted(filter(is_carried, _list(place)))
    follow = isinstance(place, int)
    return {name: os.getxattr(place, name, follow_symlinks=follow) for name in names}


def overlay_xattrs(place: int | bytes | str) -> list[str]:
    """List what overlayfs noted on an inode."""
    return [name for name in _list(place) if name.startswith(overlay_prefix())]


def _list(place: int | bytes | str) -> list[str]:
    try:
        return os.listxattr(place, follow_symlinks=isinstance(place, int))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def set_owner(place: int | bytes | str, uid: int, gid: int, *, dir_fd: int | None = None) -> None:
    """Give an inode its owner, on a descriptor or a path, which is not followed.

    Where the user is all there is, everything is the user's.

    Raises: UnknownOwner: it is not among the IDs of this user namespace.
    """
    follow = isinstance(place, int)
    try:
        os.chown(place, uid, gid, dir_fd=dir_fd, follow_symlinks=follow)
    except OSError as error:
        if error.errno != errno.EINVAL or user_namespace.is_first():
            raise
        if not _is_single_user():
            raise UnknownOwner(uid, gid) from error
        os.chown(place, 0, 0, dir_fd=dir_fd, follow_symlinks=follow)


def _is_single_user() -> bool:
    """Tell whether there is one user ID here, which is all that somebody may map alone."""
    lines = user_namespace.mappings("uid")
    return len(lines) == 1 and lines[0][2] == 1


def copy_attributes(source_fd: int, target: bytes) -> None:
    """Give the directory or file `target` what the open one has.

    The owner comes before the mode, because chown(2) clears the set-user-ID bits, and before the
    extended attributes, because it removes `security.capability`.
    """
    status = os.fstat(source_fd)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))
    for name, value in carried_xattrs(source_fd).items():
        os.setxattr(target, name, value)
    os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
