"""Who a container's users are, to the host and to whoever makes the report.

Beside the host's root an ordinary user runs containers, as root of a user namespace. From there
the host's users cannot be told apart: they are all the overflow ID, which is therefore nobody's.
"""

from __future__ import annotations

from onggi.resources.devices import ALLOW_ALL, parse_rules
from onggi.runtime import rights
from onggi.runtime.plan.users import UserMap, user_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.resources.devices import Rule

    Json = dict[str, Any]
    Lines = tuple[tuple[int, int, int], ...]

# Source: user_namespaces(7), "Unmapped user and group IDs".
_OVERFLOW = 65534


def users(record: Json) -> UserMap | None:
    """Return the mappings of a container's users to those of our namespace; None: the host's."""
    linux = record["config"]["linux"]
    if "uidMappings" in linux:
        return user_map(linux)
    ours = rights.gather().users
    return None if ours is None else UserMap(_themselves(ours.uids), _themselves(ours.gids))


def host_uid(uid: int) -> int:
    """Return the host's number of a user of our namespace."""
    ours = rights.gather().users
    return uid if ours is None else ours.outside(uid, 0)[0]


def is_rootless() -> bool:
    """Tell whether an ordinary user asks."""
    return rights.gather().is_rootless


def device_rules(record: Json) -> list[Rule]:
    """Return the rules that a record states; an ordinary user can keep nothing from anybody."""
    return parse_rules(
        ALLOW_ALL if is_rootless() else record["config"]["linux"]["resources"]["devices"]
    )


def _themselves(lines: Lines) -> Lines:
    """Map every ID that is known to itself, but for the overflow ID."""
    pieces = []
    for first, _, count in lines:
        end = first + count
        if first <= _OVERFLOW < end:
            pieces += [(first, _OVERFLOW), (_OVERFLOW + 1, end)]
        else:
            pieces.append((first, end))
    return tuple((first, first, end - first) for first, end in pieces if end > first)
