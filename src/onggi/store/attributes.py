"""What an inode has besides its contents: owner, mode, times, extended attributes.

Which extended attributes a layer carries:

- `user.*`, `trusted.*`, `security.capability`, POSIX access control lists: they are the image's;
- not `trusted.overlay.*`: overlayfs keeps its own books there, and a forged one would let a layer
  show files that it does not own (`redirect`, `metacopy`);
- not `security.selinux`, `security.ima` and the like: they state this host's policy.

Source: overlayfs.rst, "Overlay specific xattrs"; xattr(7).
"""

from __future__ import annotations

import errno
import os
import stat

OVERLAY = "trusted.overlay."
_ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")


def is_carried(name: str) -> bool:
    """Tell whether a layer carries this extended attribute."""
    if name.startswith(("user.", "trusted.")):
        return not name.startswith(OVERLAY)
    return name == "security.capability" or name in _ACCESS_LISTS


def carried_xattrs(place: int | bytes | str) -> dict[str, bytes]:
    """Read the extended attributes that a layer carries; a path is not followed."""
    names = sorted(filter(is_carried, _list(place)))
    follow = isinstance(place, int)
    return {name: os.getxattr(place, name, follow_symlinks=follow) for name in names}


def overlay_xattrs(place: int | bytes | str) -> list[str]:
    """List what overlayfs noted on an inode."""
    return [name for name in _list(place) if name.startswith(OVERLAY)]


def _list(place: int | bytes | str) -> list[str]:
    try:
        return os.listxattr(place, follow_symlinks=isinstance(place, int))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


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
