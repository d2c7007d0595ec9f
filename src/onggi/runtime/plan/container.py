"""Plan a whole container: from its OCI runtime configuration to the steps that make it. Pure.

Nothing here touches the kernel or the disk; the same specification and host facts always give the
same plan, and `onggi explain` prints what `onggi run` applies.

Source: runtime-spec config.md, config-linux.md; the order is the kernel's (see each step).
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.runtime.plan import cgroups, mounts, process, users
from onggi.runtime.plan.users import UserMap, user_map
from onggi.runtime.steps import devices, namespaces, options
from onggi.runtime.steps import mounts as mount_steps
from onggi.runtime.steps import process as process_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from onggi.oci.mount import Mount
    from onggi.runtime.host import Host
    from onggi.runtime.steps.base import Step
    from onggi.runtime.steps.notify import Listener

# New namespaces in the order in which a process may leave the old ones: the user namespace first,
# as it owns the rest; PID and time namespaces take hold of children only.
KINDS = ("user", "network", "ipc", "uts", "cgroup", "mount", "pid", "time")

_BY_BIRTH = ("user", "pid")  # rights over the second may come with the first


class Plan:
    """The steps that make a container, by who takes them and when.

    host: by the host, before any process of the container exists.
    join: by the first process, before anything else: into its cgroups.
    bounds: by the host, on the first process, which may lack the right.
    hooks: by the host, when the first process has come to `steps.hooks.MeetHost`.
    devices: by the host, when it has come to another, as soon as its namespaces are there.
    listener: who is told of calls that the filter asks about, if it does.
    children: namespaces that the first process is born in.
    born_into: by the host, before it forks: what those are like, and others that it is born in.
    container: by the first process, in its namespaces.
    program: its last steps, after which it is the user's program.
    cgroups: the container's own cgroup directories, for whoever measures or removes them.
    owner: the host's user and group IDs of the program, to whom its streams belong.
    alone: whether its maker is an ordinary user, and can do nothing for the first process.
    """

    __slots__ = (
        "alone",
        "born_into",
        "bounds",
        "cgroups",
        "children",
        "container",
        "devices",
        "hooks",
        "host",
        "identifier",
        "join",
        "listener",
        "owner",
        "program",
        "terminal",
        "user_map",
        "warnings",
    )

    def __init__(
        self,
        *,
        identifier: str,
        host: list[Step],
        join: list[Step],
        bounds: list[Step],
        children: tuple[str, ...],
        container: list[Step],
        program: list[Step],
        cgroups: tuple[str, ...],
        born_into: list[Step],
        owner: tuple[int, int],
        terminal: bool,
        user_map: UserMap | None,
        warnings: tuple[str, ...] = (),
        alone: bool = False,
    ) -> None:
        self.alone = alone
        self.born_into = born_into
        self.identifier = identifier
        self.hooks: list[Step] = []
        self.devices: list[Step] = []
        self.listener: Listener | None = None
        self.host = host
        self.join = join
        self.bounds = bounds
        self.children = children
        self.container = container
        self.program = program
        self.cgroups = cgroups
        self.owner = owner
        self.terminal = terminal
        self.user_map = user_map
        self.warnings = warnings

    def steps(self) -> list[Step]:
        """Return every step, in an order in which they could be taken one after the other."""
        forked: list[Step] = [namespaces.Unshare(self.children)] if self.children else []
        before = [*self.host, *self.join, *self.bounds]
        return [*before, *forked, *self.born_into, *self.container, *self.program]


def plan_container(
    config: dict[str, Any],
    rootfs: Iterable[Mount],
    host: Host,
    *,
    identifier: str,
    program: bytes = b"",
    program_flags: int = 0,
    init: bool = False,
) -> Plan:
    """Return the plan of the container that `config` describes.

    Args: rootfs: how storage says the root is mounted at `config["root"]["path"]`; empty for a
        directory that is complete already. program: the compiled seccomp filter. init: stay
        behind as the program's reaper.
    Raises: InvalidInput: the configuration asks for what makes no sense; Unsupported: for what
        this host cannot do.
    """
    linux = config.get("linux", {})
    controlled = cgroups.plan_cgroups(linux, host, identifier)
    fresh, joined = _namespaces(linux.get("namespaces", []))
    mapped_users = user_map(linux) if "user" in fresh else None
    alone = not host.rights.mounts
    users.require_possible(config, host.rights, mapped_users)
    spec = config["process"]
    outside, bounds, inside = _placed(process.plan_bounds(spec), alone, mapped_users)
    kinds = (*fresh, *joined)
    shown = () if "cgroup" in kinds else controlled.paths
    return Plan(
        identifier=identifier,
        host=controlled.host,
        join=[*outside, *controlled.join],
        bounds=bounds,
        children=tuple(kind for kind in ("pid", "time") if kind in fresh),
        container=[
            *_plan_namespaces(fresh, joined, linux),
            *_plan_names(config, fresh),
            *_plan_tree(config, rootfs, host, shown, lent=_lent(kinds, host)),
            mount_steps.PivotRoot(),
            *_plan_shared(linux),
        ],
        program=[
            *plan_machine(linux),
            *process.plan_identity(
                spec, program=program, program_flags=program_flags, keyring=identifier, init=init
            ),
        ],
        cgroups=controlled.paths,
        born_into=[*inside, *_plan_birth(fresh, joined, linux)],
        owner=_owner(spec, mapped_users),
        terminal=bool(spec.get("terminal")),
        user_map=mapped_users,
        warnings=controlled.warnings,
        alone=alone,
    )


def _placed(
    bounds: list[Step], alone: bool, mapped_users: UserMap | None
) -> tuple[list[Step], list[Step], list[Step]]:
    """Return which bounds are set before the cgroups are joined, by the host, and before birth.

    A user can set them on nobody but himself: on what will be root of a namespace of its own, or on
    what will join another, while nobody there can look at it yet.
    """
    if not alone:
        return [], bounds, []
    return (bounds, [], []) if mapped_users else ([], [], bounds)


def plan_machine(linux: dict[str, Any]) -> list[Step]:
    """Return what a process sets on itself: memory policy, personality. Raises: InvalidInput."""
    if "personality" not in linux and "memoryPolicy" not in linux:
        return []
    from onggi.runtime.plan import scheduling

    return scheduling.plan_machine(linux)


def _owner(spec: dict[str, Any], mapped_users: UserMap | None) -> tuple[int, int]:
    user = spec.get("user", {})
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    return mapped_users.outside(uid, gid) if mapped_users is not None else (uid, gid)


def _namespaces(entries: list[dict[str, str]]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return (kinds to make new, kind -> file to join)."""
    fresh: list[str] = []
    joined: dict[str, str] = {}
    for entry in entries:
        kind = entry["type"]
        if kind not in KINDS:
            raise InvalidInput(f"unknown namespace {kind!r}", hint=", ".join(KINDS))
        if kind in fresh or kind in joined:
            raise InvalidInput(f"the {kind} namespace is named twice")
        if entry.get("path"):
            joined[kind] = entry["path"]
        else:
            fresh.append(kind)
    if "mount" not in fresh:
        raise InvalidInput("a container needs a mount namespace of its own")
    return tuple(kind for kind in KINDS if kind in fresh), joined


def _lent(own: tuple[str, ...], host: Host) -> frozenset[str] | None:
    """Return the kinds of namespace that a container with users of its own shares with the host.

    None: its root is the host's, and may do everything with those as well.
    """
    mapped = host.rights.is_rootless or "user" in own
    return frozenset(KINDS).difference(own) if mapped else None


def _plan_namespaces(
    fresh: tuple[str, ...], joined: dict[str, str], linux: dict[str, Any]
) -> list[Step]:
    steps: list[Step] = [
        namespaces.JoinNamespace(kind, joined[kind])
        for kind in KINDS
        if kind in joined and kind not in _BY_BIRTH
    ]
    if "user" in joined:
        steps.insert(0, process_steps.SwitchUser(0, 0, ()))
    now = tuple(kind for kind in fresh if kind not in (*namespaces.FOR_CHILDREN, "user"))
    steps.append(namespaces.Unshare(now))
    inherited = linux.get("rootfsPropagation", "")
    steps.append(namespaces.SetPropagation("rshared" if "shared" in inherited else "rslave"))
    return steps


def _plan_birth(
    fresh: tuple[str, ...], joined: dict[str, str], linux: dict[str, Any]
) -> list[Step]:
    """Return what the host does just before it forks.

    A PID namespace is joined by birth alone, and one that is new belongs to the user namespace of
    whoever made it, so that must be joined before. A time namespace has its offsets before its
    first process. Source: pid_namespaces(7), "setns(2) and unshare(2) semantics";
    user_namespaces(7), "Interaction of user namespaces and other types"; time_namespaces(7).
    """
    steps: list[Step] = [
        namespaces.JoinNamespace(kind, joined[kind]) for kind in _BY_BIRTH if kind in joined
    ]
    offsets = linux.get("timeOffsets", {})
    for clock in offsets:
        if clock not in ("monotonic", "boottime"):
            raise InvalidInput(f"unknown clock {clock!r}", hint="monotonic or boottime")
    if offsets and "time" in fresh:
        listed = ((name, o.get("secs", 0), o.get("nanosecs", 0)) for name, o in offsets.items())
        steps.append(namespaces.SetTimeOffsets(tuple(listed)))
    return steps


def _plan_shared(linux: dict[str, Any]) -> list[Step]:
    """Return what makes the root shared, which it may not be while it is pivoted into."""
    propagation = linux.get("rootfsPropagation", "")
    if "shared" not in propagation:
        return []
    from onggi.runtime.steps import roots

    return [roots.ShareRoot(deep=propagation == "rshared")]


def _plan_names(config: dict[str, Any], fresh: tuple[str, ...]) -> list[Step]:
    steps: list[Step] = []
    if "network" in fresh:
        steps.append(namespaces.LoopbackUp())
    if config.get("hostname"):
        steps.append(namespaces.SetHostname(config["hostname"]))
    if config.get("domainname"):
        steps.append(namespaces.SetDomainname(config["domainname"]))
    for name, value in config.get("linux", {}).get("sysctl", {}).items():
        steps.append(process_steps.WriteSysctl(name, value))
    return steps


def _plan_tree(
    config: dict[str, Any],
    rootfs: Iterable[Mount],
    host: Host,
    own: tuple[str, ...],
    *,
    lent: frozenset[str] | None,
) -> list[Step]:
    linux = config.get("linux", {})
    root = config["root"]
    steps = [
        *mounts.plan_root(root["path"], rootfs),
        *mounts.plan_mounts(config, host.hierarchies, own, lent or frozenset()),
        *mounts.plan_devices(config, mapped=lent is not None),
        *mounts.plan_hidden(config),
    ]
    if any(entry["destination"] == "/dev" for entry in config.get("mounts", [])):
        steps.append(devices.OwnNull())
    if config["process"].get("terminal"):
        steps += [devices.OpenTerminal.of(config["process"]), devices.BindConsole()]
    cwd = config["process"].get("cwd", "/")
    if cwd != "/":
        steps.append(mount_steps.MakeDirectory(cwd))
    propagation = linux.get("rootfsPropagation", "")
    if propagation and propagation not in options.PROPAGATION:
        known = ", ".join(options.PROPAGATION)
        raise InvalidInput(f"invalid rootfsPropagation {propagation!r}", hint=known)
    if "shared" in propagation:
        from onggi.runtime.steps import roots

        steps.insert(0, roots.PrivateParent(root["path"]))
    elif propagation:
        steps.append(mount_steps.RootPropagation(propagation))
    if root.get("readonly"):
        steps.append(mount_steps.RootReadonly())
    return steps
