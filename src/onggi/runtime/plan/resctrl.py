"""Plan a container's share of caches and memory bandwidth, `linux.intelRdt`. Pure.

Source: runtime-spec config-linux.md, "IntelRdt"; runc libcontainer/configs/validate.
"""

from __future__ import annotations

from onggi.errors import Conflict, InvalidInput, Unsupported
from onggi.linux import resctrl as facts
from onggi.runtime.steps import resctrl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.steps.base import Step

_CACHE = frozenset(("L3", "L3CODE", "L3DATA"))
_MONITORING = ("enableMonitoring", "enableCMT", "enableMBM")  # the last two until version 1.3


class Machine:
    """What the machine offers: where resctrl is mounted, and what it can share out.

    known: what is known of the class of service that is asked for, as in its file; None if there
    is none of that name.
    """

    __slots__ = ("known", "resources", "root")

    def __init__(self, root: str, resources: frozenset[str], known: str | None) -> None:
        self.root = root
        self.resources = resources
        self.known = known


class Share:
    """The host's steps; the groups to join, in order; and those to remove with the container."""

    __slots__ = ("host", "join", "own")

    def __init__(self, host: list[Step], join: list[str], own: list[str]) -> None:
        self.host = host
        self.join = join
        self.own = own


def gather(asked: dict[str, Any], identifier: str) -> Machine:
    """Return the machine's facts for what is asked for.

    Raises: Unsupported: resctrl is not mounted; InvalidInput: a name that no class can have.
    """
    root = facts.find()
    if not root:
        raise Unsupported(
            "intelRdt is specified in config, but Intel RDT is not supported or enabled",
            hint="resctrl is not mounted",
        )
    group = _group(root, asked, identifier)
    return Machine(root, facts.resources(root), facts.schemata(group))


def plan_share(asked: dict[str, Any], identifier: str, machine: Machine) -> Share:
    """Plan what `asked`, which is linux.intelRdt, wants of the machine.

    Raises: InvalidInput, Unsupported; Conflict: a class of that name has something else.
    """
    lines = schemata_lines(asked, machine.resources)
    group = _group(machine.root, asked, identifier)
    host: list[Step] = []
    own: list[str] = []
    if not asked.get("closID"):
        own = [group]
    if machine.known is None:
        if asked.get("closID") and not lines:
            raise InvalidInput(f"intelRdt.closID: there is no class of service {group}")
        host.append(resctrl.MakeResctrlGroup(group))
        host += [resctrl.WriteSchemata(group, lines)] if lines else []
    elif own:
        raise Conflict(f"there is a class of service of the container's name: {group}")
    else:
        _require_same(lines, machine.known, group)
    join = [group]
    if any(asked.get(name) for name in _MONITORING):
        if "L3_MON" not in machine.resources:
            raise Unsupported("intelRdt.enableMonitoring: this machine has no monitoring")
        join.append(f"{group}/mon_groups/{identifier}")
        host.append(resctrl.MakeResctrlGroup(join[1]))
        own.insert(0, join[1])
    return Share(host, join, own)


def schemata_lines(asked: dict[str, Any], resources: frozenset[str]) -> tuple[str, ...]:
    """Return what is to be written, in order. Raises: InvalidInput, Unsupported."""
    cache, bandwidth = asked.get("l3CacheSchema", ""), asked.get("memBwSchema", "")
    if cache and not _CACHE & resources:
        raise Unsupported(
            "intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled"
        )
    if bandwidth and "MB" not in resources:
        raise Unsupported(
            "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled"
        )
    if bandwidth and not bandwidth.startswith("MB:"):
        raise InvalidInput(f"intelRdt.memBwSchema {bandwidth!r} does not begin with MB:")
    # Once it was usual to give both in the first: of that, what the second says counts.
    kept = [line for line in cache.splitlines() if not (bandwidth and line.startswith("MB:"))]
    more = asked.get("schemata", [])
    for line in (bandwidth, *more):
        if "\n" in line:
            raise InvalidInput(f"intelRdt: a line of schemata has more than one: {line!r}")
    return tuple(line for line in (*kept, bandwidth, *more) if line)


def _group(root: str, asked: dict[str, Any], identifier: str) -> str:
    name = asked.get("closID", "")
    if name == "/":
        return root
    if not facts.is_class_name(name or identifier):
        raise InvalidInput(f"invalid intelRdt.closID {name or identifier!r}")
    return f"{root}/{name or identifier}"


def _require_same(lines: tuple[str, ...], known: str, group: str) -> None:
    """Refuse a class of service that exists and has something else than what is asked for."""
    try:
        wanted = facts.parse_schemata("\n".join(lines))
        has = facts.parse_schemata(known)
    except ValueError as error:
        raise InvalidInput(f"intelRdt: {error}") from error
    for resource, domains in wanted.items():
        for domain, value in domains.items():
            if has.get(resource, {}).get(domain) != value:
                raise Conflict(
                    f"the class of service {group} exists, and has another {resource} schema"
                )
