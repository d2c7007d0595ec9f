"""``--chown`` and ``--chmod``: who owns what is copied, and who may do what with it.

Names are looked up in the image's own /etc/passwd and /etc/group, read inside its root.

Source: docs.docker.com "COPY --chown --chmod"; buildkit, solver/llbsolver/file/user_linux.go (a
number without a group stands for both; a name without a group brings its primary group);
chmod(1) for the symbolic form.
"""

from __future__ import annotations

import os
import stat

from onggi.build.errors import BuildError
from onggi.linux.fd import Fd
from onggi.linux.path import O_PATH, is_regular, reopen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.linux.path import Inside

_LARGEST_FILE = 1 << 20
_HIGHEST_ID = (1 << 32) - 2
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}


def resolve_owner(text: str, root: Inside) -> tuple[int, int]:
    """Turn ``user``, ``user:group`` or numbers into (uid, gid).

    Raises: BuildError: a name that the image does not know.
    """
    user, colon, group = text.partition(":")
    uid, gid = _user(user, root)
    return (uid, _group(group, root)) if colon and group else (uid, gid)


def _user(name: str, root: Inside) -> tuple[int, int]:
    if name.isascii() and name.isdigit():
        return _number(name), _number(name)
    if not name:
        return 0, 0
    for fields in _table(root, "/etc/passwd"):
        if fields[0] == name and len(fields) >= 4:
            return _number(fields[2]), _number(fields[3])
    raise BuildError(f"unable to find user {name}: no matching entries in the image's passwd file")


def _group(name: str, root: Inside) -> int:
    if name.isascii() and name.isdigit():
        return _number(name)
    for fields in _table(root, "/etc/group"):
        if fields[0] == name and len(fields) >= 3:
            return _number(fields[2])
    raise BuildError(f"unable to find group {name}: no matching entries in the image's group file")


def _table(root: Inside, path: str) -> list[list[str]]:
    try:
        with Fd(root.open(path, O_PATH)) as place:
            if not is_regular(place):
                return []
            with Fd(reopen(place, os.O_RDONLY)) as file:
                text = os.read(file.fileno(), _LARGEST_FILE).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [line.split(":") for line in text.splitlines() if line[:1] not in ("", "#")]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _HIGHEST_ID:
        raise BuildError(f"user and group numbers go from 0 to {_HIGHEST_ID}, not {text}")
    return int(text)


class Permissions:
    """What ``--chmod`` said: a number, or changes to what each file has.

    Raises: BuildError: it is neither.
    """

    __slots__ = ("_changes", "_fixed")

    def __init__(self, text: str) -> None:
        self._fixed: int | None = None
        self._changes: list[tuple[str, str, str]] = []
        if text[:1].isdigit():
            if not all(digit in "01234567" for digit in text) or int(text, 8) > 0o7777:
                raise BuildError(
                    f"invalid chmod parameter: '{text}'. "
                    "it should be octal string and between 0 and 07777"
                )
            self._fixed = int(text, 8)
        else:
            self._changes = [change for part in text.split(",") for change in _changes(part, text)]

    def apply(self, mode: int, is_directory: bool) -> int:
        """Return the permissions of something that had `mode`."""
        if self._fixed is not None:
            return self._fixed
        mode = stat.S_IMODE(mode)
        for who, operator, what in self._changes:
            mode = _changed(mode, who, operator, what, is_directory)
        return mode


def _changes(part: str, text: str) -> list[tuple[str, str, str]]:
    """Read ``u+rwx`` or ``go=u-w``: one or more operators after whom they concern."""
    rest = part.lstrip("ugoa")
    who = part[: len(part) - len(rest)] or "a"
    changes = []
    while rest:
        operator, rest = rest[0], rest[1:]
        what = rest[: len(rest) - len(rest.lstrip("rwxXstugo"))]
        rest = rest[len(what) :]
        if operator not in "+-=":
            raise _bad_symbols(text)
        changes.append((who, operator, what))
    if not changes:
        raise _bad_symbols(text)
    return changes


def _bad_symbols(text: str) -> BuildError:
    return BuildError(f"invalid chmod parameter: '{text}'. expected like 755 or u+rw,go-w")


def _changed(mode: int, who: str, operator: str, what: str, is_directory: bool) -> int:
    reach = 0
    for letter in who:
        reach |= _WHO[letter]
    bits = _bits(mode, what, is_directory) & reach
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    return (mode & ~reach) | bits


def _bits(mode: int, what: str, is_directory: bool) -> int:
    bits = 0
    for letter in what:
        if letter in "ugo":
            bits |= ((mode >> {"u": 6, "g": 3, "o": 0}[letter]) & 7) * 0o111
        elif letter == "X":
            bits |= 0o111 if is_directory or mode & 0o111 else 0
        else:
            bits |= {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}[letter]
    return bits
