"""Who `user[:group]` is: looked up in the image's own files, as the container will see them.

The files are read out of the layers, without mounting anything and without following a link: what
an image says in /etc/passwd is data, and nothing more.

Source: moby pkg opencontainers/runc libcontainer/user (GetExecUser); Docker's `--user`.
"""

from __future__ import annotations

import os
import stat

from onggi.errors import InvalidInput, Unsupported
from onggi.linux.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from onggi.store.merge import Stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from onggi.runtime.rights import Rights

MOST_BYTES = 1 << 20  # of a passwd or group file; what lies beyond is not read
_MOST_ID = (1 << 31) - 1
_ID_DIGITS = 10


class User:
    """A user as the kernel knows it, with the home directory that goes to HOME."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, *, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home

    def to_oci(self) -> dict[str, Any]:
        """Return runtime-spec `process.user`."""
        return {"uid": self.uid, "gid": self.gid, "additionalGids": list(self.groups)}


def held_user(user: User, rights: Rights, asked: Sequence[str] = ()) -> dict[str, Any]:
    """Return runtime-spec `process.user` for a user as far as the user namespace has him.

    Groups that the image puts him in and that do not exist here are left out; those that were
    asked for are not.

    Raises: Unsupported: there is no such user or group.
    """
    users = rights.users
    if users is None:
        return user.to_oci()
    for kind, number in (("uid", user.uid), ("gid", user.gid)):
        if not users.has(kind, number):
            raise _unknown(f"{kind} {number}")
    groups = [one for one in user.groups if users.has("gid", one)] if rights.groups else []
    if asked and len(groups) != len(user.groups):
        raise _unknown("a group of --group-add")
    return {**user.to_oci(), "additionalGids": groups}


def _unknown(what: str) -> Unsupported:
    return Unsupported(
        f"{what} is not among the IDs that this user may give",
        hint="see docs/rootless.md on /etc/subuid and /etc/subgid",
    )


class Accounts:
    """The passwd and group files of one tree, parsed; lines that make no sense are passed over."""

    __slots__ = ("groups", "users")

    def __init__(self, passwd: str, group: str) -> None:
        self.users = [line for line in _lines(passwd, 7) if _is_id(line[2]) and _is_id(line[3])]
        self.groups = [line for line in _lines(group, 4) if _is_id(line[2])]

    def find(self, text: str, extra_groups: Sequence[str] = ()) -> User:
        """Return who `text` is; "" is root. Digits are a number, whatever names there are.

        Raises: InvalidInput: no such user or group, or a number out of range.
        """
        name, _, group = text.partition(":")
        entry = self._user(name or "0")
        uid = int(entry[2]) if entry else _number(name or "0", "user")
        gid = int(entry[3]) if entry else 0
        groups = self._memberships(entry[0]) if entry and not group else ()
        if group:
            gid = self.group(group)
        extra = tuple(self.group(one) for one in extra_groups)
        home = entry[5] if entry else ""
        distinct = tuple(dict.fromkeys((gid, *groups, *extra)))
        return User(uid=uid, gid=gid, groups=distinct, home=home or "/")

    def group(self, text: str) -> int:
        """Return the number of group `text`, a name or a number."""
        for line in self.groups:
            if _is_named(line, text):
                return int(line[2])
        return _number(text, "group")

    def _user(self, text: str) -> list[str] | None:
        for line in self.users:
            if int(line[2]) == int(text) if _is_id(text) else _is_named(line, text):
                return line
        return None

    def _memberships(self, name: str) -> tuple[int, ...]:
        return tuple(int(line[2]) for line in self.groups if name in line[3].split(","))


def read_accounts(trees: list[str]) -> Accounts:
    """Read the accounts of stacked directories, the topmost first."""
    with Stack(trees) as stack:
        return Accounts(_read(stack, b"passwd"), _read(stack, b"group"))


def _read(stack: Stack, name: bytes) -> str:
    with stack.root() as root:
        etc = root.find(b"etc")
    with stack.open(b"etc", etc.trees if etc else ()) as view:
        found = view.find(name)
        if found is None or not stat.S_ISREG(found.status.st_mode):
            return ""
        directory = view.descriptors[found.source]
        fd = openat2(directory, name, os.O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
        try:
            return _read_regular(fd)
        finally:
            os.close(fd)


def _read_regular(path_fd: int) -> str:
    """Read a file that is only looked at until it is proven to be a plain one.

    A running container may put a fifo or a device in its place at any moment.
    """
    if not stat.S_ISREG(os.fstat(path_fd).st_mode):
        return ""
    with open(f"/proc/self/fd/{path_fd}", "rb") as file:
        return file.read(MOST_BYTES).decode("utf-8", "replace")


def _lines(text: str, fields: int) -> list[list[str]]:
    split = (line.split(":") for line in text.split("\n"))
    return [line for line in split if len(line) >= fields]


def _is_id(text: str) -> bool:
    return len(text) <= _ID_DIGITS and text.isascii() and text.isdigit() and int(text) <= _MOST_ID


def _is_named(line: list[str], text: str) -> bool:
    """Tell whether a line is that of the name `text`; digits are none, however many there are.

    Else an image could have a number that no user can have stand for root (CVE-2026-46680).
    """
    return line[0] == text and not text.isdigit()


def _number(text: str, kind: str) -> int:
    if _is_id(text):
        return int(text)
    if text.removeprefix("-").isdigit():
        raise InvalidInput(f"{kind} {text} is out of range", hint=f"0 to {_MOST_ID}")
    raise InvalidInput(f"unable to find {kind} {text}", hint=f"no such {kind} in the image")
