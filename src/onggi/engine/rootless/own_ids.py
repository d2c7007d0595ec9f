"""Which user and group IDs an ordinary user may give to what he runs.

The user is root inside. What else there is comes from /etc/subuid and /etc/subgid, whose ranges are
the user's own and nobody else's; the set-user-ID programs newuidmap and newgidmap map them. Without
them, or without a range, there is one ID inside, and it is the user's own.

Source: user_namespaces(7), "User and group ID mappings"; subuid(5); newuidmap(1).
"""

from __future__ import annotations

import os

from onggi.engine import subordinate
from onggi.runtime import mapping
from onggi.runtime.plan.users import UserMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Range = tuple[int, int]
    Extent = tuple[int, int, int]

PROGRAMS = ("newuidmap", "newgidmap")


class Mapping:
    """User and group IDs: extents of (first inside, first on the host, how many)."""

    __slots__ = ("gids", "uids")

    def __init__(self, uids: Iterable[Extent], gids: Iterable[Extent]) -> None:
        self.uids = tuple(uids)
        self.gids = tuple(gids)

    @property
    def is_single(self) -> bool:
        """Whether the user is all there is inside."""
        return len(self.uids) == 1

    def covers(self, other: Mapping) -> bool:
        """Tell whether every ID of `other` is here, and the same one on the host."""
        kinds = zip((self.uids, self.gids), (other.uids, other.gids), strict=True)
        return all(_has(mine, extent) for mine, theirs in kinds for extent in theirs)

    def apply(self, pid: int) -> None:
        """Give these IDs to the new user namespace of process `pid`, a child of ours.

        Raises: as runtime.mapping.write_as_user.
        """
        mapping.write_as_user(pid, UserMap(self.uids, self.gids))

    def __eq__(self, other: object) -> bool:
        # The kernel orders them by itself where they are more than five.
        return isinstance(other, Mapping) and self._ordered() == other._ordered()

    def __hash__(self) -> int:
        return hash(self._ordered())

    def _ordered(self) -> tuple[tuple[Extent, ...], tuple[Extent, ...]]:
        return tuple(sorted(self.uids)), tuple(sorted(self.gids))


def allowed() -> Mapping:
    """Return what the user of this process may map now."""
    own = os.geteuid(), os.getegid()
    ranges = [_ranges(file) for file in subordinate.FILES]
    if not all(ranges) or not all(map(program, PROGRAMS)):
        ranges = [[], []]
    return Mapping(*(_extents(one, more) for one, more in zip(own, ranges, strict=True)))


def of_process(pid: str) -> Mapping | None:
    """Return what the user namespace of a process maps, as seen from ours; None: it has ended."""
    try:
        uids, gids = (_lines(f"/proc/{pid}/{kind}_map") for kind in ("uid", "gid"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return Mapping(uids, gids)


def _lines(path: str) -> list[Extent]:
    with open(path, encoding="ascii") as file:
        lines = [line.split() for line in file]
    return [(int(inside), int(host), int(count)) for inside, host, count in lines]


def program(name: str) -> str:
    """Return the path of a program in PATH, or ""."""
    for directory in os.environ.get("PATH", os.defpath).split(":"):
        path = f"{directory}/{name}"
        if directory and os.access(path, os.X_OK):
            return path
    return ""


def _ranges(file: str) -> list[Range]:
    """Return the ranges that `file` gives to this process's user, by name or number."""
    entries = subordinate.ranges(file)
    names = dict.fromkeys(filter(None, (_user_name(), str(os.getuid()))))
    return [one for name in names for one in entries.get(name, [])]


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""  # a user without an entry


def _extents(own: int, ranges: list[Range]) -> list[Extent]:
    extents = [(0, own, 1)]
    first = 1
    for start, count in ranges:
        if count > 0:
            extents.append((first, start, count))
            first += count
    return extents


def _has(extents: tuple[Extent, ...], wanted: Extent) -> bool:
    inside, outside, count = wanted
    return any(
        first <= inside and inside + count <= first + most and outside - inside == host - first
        for first, host, most in extents
    )
