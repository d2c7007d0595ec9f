"""From OCI `linux.resources` to the numbers to write, wherever each controller lives.

A host may mount each v1 controller by itself, several together (cpu,cpuacct), everything in v2,
or some here and some there. A controller is in one hierarchy at a time, so each part of the
request has one place to go, or none, and then the request is refused.

What is asked for and not written, as in runc: `memory.kernel` (the kernel dropped it in 5.16 and
runtime-spec advises against it), `memory.useHierarchy` (always so since Linux 5.11) and
`memory.checkBeforeUpdate` (only updates need it).
"""

from __future__ import annotations

from onggi.errors import InvalidInput, Unsupported
from onggi.resources import settings_v1, settings_v2
from onggi.resources.setting import Setting, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    from onggi.linux.cgroup import Hierarchy

    Planner: TypeAlias = Callable[[Any, Writer], None]

# Below linux.resources: its name, the fields meant for one controller (all of them when empty),
# the controller and who plans for it in v1, the same in v2.
_PARTS: tuple[tuple[str, tuple[str, ...], str, Planner, str, Planner | None], ...] = (
    (
        "memory",
        ("limit", "swap", "reservation", "kernelTCP", "swappiness", "disableOOMKiller"),
        "memory",
        settings_v1.memory,
        "memory",
        settings_v2.memory,
    ),
    (
        "cpu",
        ("shares", "quota", "period", "burst", "idle", "realtimePeriod", "realtimeRuntime"),
        "cpu",
        settings_v1.cpu,
        "cpu",
        settings_v2.cpu,
    ),
    ("cpu", ("cpus", "mems"), "cpuset", settings_v1.cpuset, "cpuset", settings_v1.cpuset),
    ("pids", ("limit",), "pids", settings_v1.pids, "pids", settings_v1.pids),
    ("blockIO", (), "blkio", settings_v1.blkio, "io", settings_v2.io),
    ("hugepageLimits", (), "hugetlb", settings_v1.hugetlb, "hugetlb", settings_v2.hugetlb),
    ("network", ("classID",), "net_cls", settings_v1.net_cls, "", None),
    ("network", ("priorities",), "net_prio", settings_v1.net_prio, "", None),
    ("rdma", (), "rdma", settings_v1.rdma, "rdma", settings_v1.rdma),
)

# Fields whose 0 says something; elsewhere 0 is how Go's runtimes spell "not asked for".
_ZERO_MEANS_ZERO = ("swappiness",)


def settings(
    resources: dict[str, Any], hierarchies: Sequence[Hierarchy], files: frozenset[str]
) -> list[Setting]:
    """Plan the numbers to write into a new cgroup, in the order in which the kernel takes them.

    Args:
        resources: runtime-spec `linux.resources`; its device rules are for `devices`.
        hierarchies: the mounted ones.
        files: which of the optional control files this kernel has, from `host.control_files`.

    Raises:
        Unsupported: no mounted hierarchy, or no file in it, can hold what is asked for.
        InvalidInput: the numbers contradict each other.
    """
    planned: list[Setting] = []
    for part, fields, *places in _PARTS:
        asked = _asked(resources.get(part), fields)
        if asked:
            planned += _plan(asked, part, places, hierarchies, files)
    return planned + _unified(resources.get("unified", {}), hierarchies)


def _asked(part: Any, fields: tuple[str, ...]) -> Any:
    """Return what is really asked for among these fields of one part."""
    if not isinstance(part, dict):
        return part
    return {
        name: value
        for name, value in part.items()
        if (not fields or name in fields) and (value or (value == 0 and name in _ZERO_MEANS_ZERO))
    }


def _plan(
    asked: Any,
    part: str,
    places: list[Any],
    hierarchies: Sequence[Hierarchy],
    files: frozenset[str],
) -> list[Setting]:
    v1_name, v1_planner, v2_name, v2_planner = places
    for hierarchy in hierarchies:
        name, planner = (v1_name, v1_planner) if hierarchy.version == 1 else (v2_name, v2_planner)
        if planner is not None and name in hierarchy.controllers:
            writer = Writer(hierarchy, files)
            planner(asked, writer)
            return writer.settings
    raise Unsupported(
        f"no mounted cgroup hierarchy has the {v1_name} controller, which {part} limits need",
        hint="see /proc/cgroups and /sys/fs/cgroup/cgroup.controllers",
    )


def _unified(unified: dict[str, str], hierarchies: Sequence[Hierarchy]) -> list[Setting]:
    """Plan OCI's `unified` map: files of v2 by name, a write for each line."""
    v2 = next((each for each in hierarchies if each.version == 2), None)
    planned = []
    for file, text in unified.items():
        hierarchy = _holder(file, v2)
        planned += [
            Setting(hierarchy=hierarchy, file=file, value=line, reason="as asked for, by file name")
            for line in text.splitlines()
        ]
    return planned


def _holder(file: str, v2: Hierarchy | None) -> Hierarchy:
    """Return the v2 hierarchy, once it is sure that it has this file's controller."""
    controller, dot, _ = file.partition(".")
    if not dot or "/" in file:
        raise InvalidInput(f"unified resource '{file}' must be in the form CONTROLLER.PARAMETER")
    if v2 is None:
        raise Unsupported(f"unified resource '{file}' can't be set: cgroup v2 is not mounted")
    if controller != "cgroup" and controller not in v2.controllers:
        raise Unsupported(
            f"unified resource '{file}' can't be set: controller '{controller}' not available in v2"
        )
    return v2
