"""Owners that a user namespace wrote, read back: IDs, capabilities, access control lists."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.errors import Conflict
from onggi.store.owners import Owners

BASE = 1 << 30
OWNERS = Owners([(0, BASE, 65536)], [(0, BASE + 65536, 1000), (1000, 5, 7)])


def capability(root: int | None, effective: int = 1) -> bytes:
    """Return `struct vfs_ns_cap_data` or, without a root, version 2 of it."""
    data = struct.pack(
        "<IIIII", (0x02000000 if root is None else 0x03000000) | effective, 7, 8, 9, 0
    )
    return data if root is None else data + struct.pack("<I", root)


@given(st.integers(0, 65535))
def test_what_is_mapped_is_translated(identifier: int) -> None:
    assert OWNERS.uid(BASE + identifier) == identifier


def test_each_line_counts_and_the_rest_is_kept() -> None:
    assert OWNERS.gid(BASE + 65536 + 999) == 999
    assert OWNERS.gid(5) == 1000
    assert OWNERS.gid(11) == 1006
    for identifier in (0, 4, 12, BASE + 65535, BASE + 66536):
        assert OWNERS.gid(identifier) == identifier
    assert OWNERS.uid(0) == 0
    assert OWNERS.uid(BASE + 65536) == BASE + 65536


@given(st.integers(0, 65535), st.integers(0, 1006))
def test_what_is_translated_is_stored_as_it_was(user: int, group: int) -> None:
    stored = OWNERS.stored(user, group)
    assert (OWNERS.uid(stored[0]), OWNERS.gid(stored[1])) == (user, group)


@pytest.mark.parametrize(("user", "group"), [(65536, 0), (0, 1007)])
def test_who_is_not_in_the_namespace_cannot_be_stored(user: int, group: int) -> None:
    with pytest.raises(Conflict, match=r"user or group (65536|1007) is none"):
        OWNERS.stored(user, group)


def test_capabilities_of_the_namespaces_root_become_those_of_root() -> None:
    name = "security.capability"
    for effective in (0, 1):
        held = capability(BASE, effective)
        assert OWNERS.xattr(name, held) == capability(None, effective)
    assert OWNERS.xattr(name, capability(BASE + 1000)) == capability(1000)
    for kept in (capability(None), capability(77), b"", b"short", capability(BASE) + b"more"):
        assert OWNERS.xattr(name, kept) == kept


def test_access_lists_name_the_users_inside() -> None:
    def entries(user: int, group: int) -> bytes:
        listed = [(1, 6, 0xFFFFFFFF), (2, 4, user), (4, 4, 0xFFFFFFFF), (8, 5, group), (16, 7, -1)]
        return struct.pack("<I", 2) + b"".join(
            struct.pack("<HHI", tag, mode, identifier & 0xFFFFFFFF)
            for tag, mode, identifier in listed
        )

    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        assert OWNERS.xattr(name, entries(BASE + 33, 5)) == entries(33, 1000)
        for kept in (b"", b"\1\0\0\0", entries(BASE, 5)[:-1]):
            assert OWNERS.xattr(name, kept) == kept
    assert OWNERS.xattrs({"user.a": entries(BASE, 5)}) == {"user.a": entries(BASE, 5)}
