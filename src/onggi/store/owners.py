"""Owners of files that a user namespace wrote: stored as the host's, meant as the namespace's.

overlayfs writes with the rights of the host, so what a container in a user namespace makes bears
the host's side of its mapping. Three things of an inode name users: its owner and group, its access
control lists, and its capabilities, which since version 3 hold for one root only.

An ID outside the mapping is kept: it was never translated. That is so of whiteouts, and of the
whole directory as long as the container was never started.

Source: user_namespaces(7); capabilities(7), "File capability extended attribute versioning";
<linux/capability.h>, vfs_ns_cap_data; <linux/posix_acl_xattr.h>.
"""

from __future__ import annotations

import struct

from onggi.errors import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Line = tuple[int, int, int]  # the first ID inside, the first on the host, how many

_CAPABILITY = "security.capability"
# VFS_CAP_REVISION_MASK and two of its values; VFS_CAP_FLAGS_EFFECTIVE is the lowest bit.
_REVISION, _REVISION_2, _REVISION_3 = 0xFF000000, 0x02000000, 0x03000000
_MAGIC = struct.Struct("<I")
_BYTES_2, _BYTES_3 = 20, 24
_ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")
_ACL_VERSION = 2
_ACL_ENTRY = struct.Struct("<HHI")  # e_tag, e_perm, e_id
_ACL_USER, _ACL_GROUP = 0x02, 0x08


class Owners:
    """The mapping by which owners are read back; lines as in uid_map and gid_map."""

    __slots__ = ("_gids", "_uids")

    def __init__(self, uids: Iterable[Line], gids: Iterable[Line]) -> None:
        self._uids = tuple(uids)
        self._gids = tuple(gids)

    def uid(self, stored: int) -> int:
        """Return the user inside."""
        return _inside(stored, self._uids)

    def gid(self, stored: int) -> int:
        """Return the group inside."""
        return _inside(stored, self._gids)

    def stored(self, uid: int, gid: int) -> tuple[int, int]:
        """Return the host's side of a user and a group inside.

        Raises: Conflict: the namespace has no such user or group.
        """
        return _outside(uid, self._uids), _outside(gid, self._gids)

    def xattrs(self, stored: dict[str, bytes]) -> dict[str, bytes]:
        """Return extended attributes with the users that they name as the inside knows them."""
        return {name: self.xattr(name, value) for name, value in stored.items()}

    def xattr(self, name: str, value: bytes) -> bytes:
        """Return the value of one extended attribute as it is inside."""
        if name == _CAPABILITY:
            return self._capability(value)
        if name in _ACCESS_LISTS:
            return self._access_list(value)
        return value

    def _capability(self, value: bytes) -> bytes:
        """Return capabilities of the namespace's root in version 2: of whoever is root there."""
        if len(value) != _BYTES_3:
            return value
        (magic,) = _MAGIC.unpack_from(value)
        if magic & _REVISION != _REVISION_3:
            return value
        (root,) = _MAGIC.unpack_from(value, _BYTES_2)
        inside = self.uid(root)
        if inside:
            return value[:_BYTES_2] + _MAGIC.pack(inside)
        return _MAGIC.pack(magic & ~_REVISION | _REVISION_2) + value[_MAGIC.size : _BYTES_2]

    def _access_list(self, value: bytes) -> bytes:
        header, entries = value[: _MAGIC.size], value[_MAGIC.size :]
        if header != _MAGIC.pack(_ACL_VERSION) or len(entries) % _ACL_ENTRY.size:
            return value  # of a version that nobody knows: whoever sets it is told by the kernel
        return header + b"".join(
            _ACL_ENTRY.pack(tag, permissions, self._named(tag, identifier))
            for tag, permissions, identifier in _ACL_ENTRY.iter_unpack(entries)
        )

    def _named(self, tag: int, identifier: int) -> int:
        if tag == _ACL_USER:
            return self.uid(identifier)
        return self.gid(identifier) if tag == _ACL_GROUP else identifier


def _outside(inside: int, lines: tuple[Line, ...]) -> int:
    for first, outside, count in lines:
        if first <= inside < first + count:
            return outside + inside - first
    raise Conflict(f"user or group {inside} is none of those of the container's user namespace")


def _inside(stored: int, lines: tuple[Line, ...]) -> int:
    for inside, outside, count in lines:
        if outside <= stored < outside + count:
            return inside + stored - outside
    return stored
