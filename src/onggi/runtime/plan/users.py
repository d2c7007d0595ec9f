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
    if not rights.mounts:
        _require_for_user(config)
    known = own or rights.users
    if known is not None:
        _require_owners(config.get("mounts", []), known)
        _require_user(config["process"].get("user", {}), known)
    denied = own is not None and not rights.mounts and len(own.gids) == own.gids[0][2] == 1
    if (denied or not rights.groups) and config["process"].get("user", {}).get("additionalGids"):
        raise Unsupported(
            "additional groups can't be set in this user namespace",
            hint="setgroups is denied where a user mapped nobody but himself",
        )


def _require_for_user(config: dict[str, Any]) -> None:
    """Refuse what takes privileges before there is a user namespace to have them in."""
    linux = config.get("linux", {})
    paths = {entry["type"]: entry.get("path", "") for entry in linux.get("namespaces", [])}
    if "user" not in paths:
        raise InvalidInput(
            "a container of an ordinary user needs a user namespace",
            hint="spec --rootless writes such a configuration",
        )
    if paths.get("pid") and not paths["user"]:
        raise Unsupported(
            "an ordinary user can't join a PID namespace from a new user namespace",
            hint="join the user namespace that it belongs to as well",
        )
    if linux.get("timeOffsets"):
        raise Unsupported("clocks can't be set by an ordinary user", hint="leave timeOffsets out")
    if linux.get("netDevices"):
        raise Unsupported("interfaces of the host can't be handed over by an ordinary user")
    if linux.get("seccomp", {}).get("listenerPath"):
        raise Unsupported(
            "a seccomp listener can't be had for an ordinary user's container",
            hint="root of a user namespace can",
        )
    for entry in config.get("mounts", []):
        if entry.get("uidMappings") or {"idmap", "ridmap"}.intersection(entry.get("options", ())):
            raise Unsupported(
                f"mount at {entry['destination']!r} can't show other owners:"
                " that takes privileges on the host"
            )


def _require_user(user: dict[str, Any], known: UserMap) -> None:
    for kind, name in (("uid", "user"), ("gid", "group")):
        for identifier in (0, user.get(kind, 0)):  # first the root that makes it
            if not known.has(kind, identifier):
                raise InvalidInput(f"{name} {identifier} is not mapped in the user namespace")


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
