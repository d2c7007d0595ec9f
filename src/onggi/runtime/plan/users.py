"""The mappings of a user namespace. Pure."""

from __future__ import annotations

from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class UserMap:
    """The mappings of a user namespace: lines of (inside, outside, count), as in uid_map."""

    __slots__ = ("gids", "uids")

    def __init__(
        self, uids: tuple[tuple[int, int, int], ...], gids: tuple[tuple[int, int, int], ...]
    ) -> None:
        self.uids = uids
        self.gids = gids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserMap) and (self.uids, self.gids) == (other.uids, other.gids)

    def __hash__(self) -> int:
        return hash((self.uids, self.gids))

    def __repr__(self) -> str:
        return f"UserMap({self.uids!r}, {self.gids!r})"

    def texts(self) -> tuple[str, str]:
        """Return what is written to uid_map and to gid_map."""
        uids, gids = (
            "".join(f"{inside} {outside} {count}\n" for inside, outside, count in lines)
            for lines in (self.uids, self.gids)
        )
        return uids, gids

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """Return the host's IDs of a user and group of the inside.

        What is no ID of the inside is returned as it is: it was translated before.
        """
        return _outside(uid, self.uids), _outside(gid, self.gids)


def _outside(identifier: int, lines: tuple[tuple[int, int, int], ...]) -> int:
    for inside, outside, count in lines:
        if inside <= identifier < inside + count:
            return outside + identifier - inside
    return identifier


def user_map(linux: dict[str, Any]) -> UserMap:
    """Return the mappings that `linux` of a configuration, or one of its mounts, states."""

    def lines(name: str) -> tuple[tuple[int, int, int], ...]:
        entries = linux.get(name, [])
        if not entries:
            raise InvalidInput(f"a user namespace without {name}")
        return tuple((entry["containerID"], entry["hostID"], entry["size"]) for entry in entries)

    return UserMap(lines("uidMappings"), lines("gidMappings"))
