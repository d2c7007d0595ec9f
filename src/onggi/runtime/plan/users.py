"""The mappings of a user namespace. Pure."""

from __future__ import annotations

from onggi.errors import InvalidInput, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.rights import Rights


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

    def has(self, kind: str, identifier: int) -> bool:
        """Tell whether an ID of the inside, of kind "uid" or "gid", stands for one outside."""
        lines = self.uids if kind == "uid" else self.gids
        return any(inside <= identifier < inside + count for inside, _, count in lines)

    def is_own(self, uid: int, gid: int) -> bool:
        """Tell whether it maps nothing but this user and group."""
        pairs = ((self.uids, uid), (self.gids, gid))
        return all(len(lines) == 1 and lines[0][1:] == (own, 1) for lines, own in pairs)


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


def require_possible(config: dict[str, Any], rights: Rights, own: UserMap | None) -> None:
    """Refuse what a user namespace does not have, with the words for it.

    Args: own: the mappings of the container's own user namespace, if it gets one.
    Raises: InvalidInput, Unsupported.
    """
    known = own or rights.users
    if known is not None:
        _require_owners(config.get("mounts", []), known)
    if not rights.groups and config["process"].get("user", {}).get("additionalGids"):
        raise Unsupported(
            "additional groups can't be set in this user namespace",
            hint="setgroups is denied where a user mapped nothing but himself",
        )


def _require_owners(entries: list[dict[str, Any]], known: UserMap) -> None:
    """Source: runc libcontainer/configs/validate/rootless.go, rootlessEUIDMount."""
    for entry in entries:
        for word in entry.get("options", []):
            kind, _, number = word.partition("=")
            wanted = kind in ("uid", "gid") and number.isascii() and number.isdigit()
            if wanted and not known.has(kind, int(number[:11])):
                raise InvalidInput(
                    f"mount at {entry['destination']!r} has the option {word},"
                    " which the user namespace does not map"
                )
