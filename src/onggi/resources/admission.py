"""Fit a request to a host, as docker does: refuse what is wrong, drop what the kernel cannot do.

What is dropped is told in a warning, in docker's words.

Source: moby daemon/daemon_unix.go, verifyPlatformContainerResources and adaptContainerSettings;
pkg/sysinfo for what counts as missing.
"""

from __future__ import annotations

from onggi.errors import InvalidInput, Unsupported
from onggi.resources.conversion import SHARES_LEAST, SHARES_MOST
from onggi.resources.cpuset import format_cpuset, parse_cpuset
from onggi.resources.request import NANO_CPUS_TO_QUOTA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from onggi.resources.host import Host
    from onggi.resources.request import Request

    # What to change in the request, and the warning that says so.
    Discard: TypeAlias = tuple[dict[str, Any], str]

_KERNEL = "your kernel does not support "
_UNMOUNTED = " or the cgroup is not mounted"
# The kernel's shortest quota, 1 ms in each period.
_LEAST_NANO_CPUS = 1000 * NANO_CPUS_TO_QUOTA


def admit(request: Request, host: Host) -> tuple[Request, list[str]]:
    """Return the part of the request that this host can grant, and a warning for each lost part.

    Raises:
        InvalidInput: it asks for processors or memory nodes that the host does not have.
        Unsupported: it asks for `--cpus`, and the kernel cannot bound processor time.
    """
    warnings = []
    for discards in (_memory(request, host), _cpu(request, host), _others(request, host)):
        for changes, warning in discards:
            request = request.replace(**changes)
            warnings.append(warning)
    _require_cpus(request, host)
    _require_cpuset(request, host)
    return request, warnings


def _memory(request: Request, host: Host) -> list[Discard]:
    if "memory" not in host.controllers:
        return _without_memory(request)
    discards: list[Discard] = []
    if request.memory and request.memory_swap != -1 and not _swap_is_counted(host):
        warning = _KERNEL + "swap limit capabilities" + _UNMOUNTED + "; memory limited without swap"
        discards.append(({"memory_swap": -1}, warning))
    if not host.v2_memory:
        return discards
    if request.memory_swappiness is not None:
        warning = _KERNEL + "memory swappiness capabilities" + _UNMOUNTED
        discards.append(({"memory_swappiness": None}, warning + "; memory swappiness discarded"))
    if request.oom_kill_disable:
        warning = _KERNEL + "OomKillDisable; OomKillDisable discarded"
        discards.append(({"oom_kill_disable": False}, warning))
    return discards


def _without_memory(request: Request) -> list[Discard]:
    limits = (request.memory, request.memory_reservation, request.memory_swappiness)
    if not any(value is not None for value in limits) and not request.oom_kill_disable:
        return []
    lost = {
        "memory": None,
        "memory_swap": None,
        "memory_reservation": None,
        "memory_swappiness": None,
        "oom_kill_disable": False,
    }
    warning = _KERNEL + "memory limit capabilities" + _UNMOUNTED + "; limitation discarded"
    return [(lost, warning)]


def _swap_is_counted(host: Host) -> bool:
    return not host.files.isdisjoint({"memory.memsw.limit_in_bytes", "memory.swap.max"})


def _cpu(request: Request, host: Host) -> list[Discard]:
    discards: list[Discard] = []
    shares = request.cpu_shares
    if shares and "cpu" not in host.controllers:
        warning = _KERNEL + "CPU shares" + _UNMOUNTED + "; shares discarded"
        discards.append(({"cpu_shares": None}, warning))
    elif shares and not SHARES_LEAST <= shares <= SHARES_MOST:
        bound = SHARES_LEAST if shares < SHARES_LEAST else SHARES_MOST
        warning = f"CPU shares of {shares} changed to {bound}, the nearest that is allowed"
        discards.append(({"cpu_shares": bound}, warning))
    if (request.cpu_period or request.cpu_quota) and not _time_is_bounded(host):
        warning = _KERNEL + "CPU CFS scheduler; CPU period/quota discarded"
        discards.append(({"cpu_period": None, "cpu_quota": None}, warning))
    if (request.cpuset_cpus or request.cpuset_mems) and "cpuset" not in host.controllers:
        warning = _KERNEL + "cpuset" + _UNMOUNTED + "; cpuset discarded"
        discards.append(({"cpuset_cpus": "", "cpuset_mems": ""}, warning))
    return discards


def _time_is_bounded(host: Host) -> bool:
    return not host.files.isdisjoint({"cpu.cfs_quota_us", "cpu.max"})


def _others(request: Request, host: Host) -> list[Discard]:
    discards: list[Discard] = []
    if request.pids_limit is not None and "pids" not in host.controllers:
        warning = _KERNEL + "PIDs limit capabilities" + _UNMOUNTED + "; PIDs limit discarded"
        discards.append(({"pids_limit": None}, warning))
    if (request.blkio_weight or request.blkio_weight_device) and not _io_is_weighed(host):
        warning = _KERNEL + "Block I/O weight" + _UNMOUNTED + "; weight discarded"
        discards.append(({"blkio_weight": None, "blkio_weight_device": ()}, warning))
    if not host.files.isdisjoint({"blkio.throttle.read_bps_device", "io.max"}):
        return discards
    for direction in ("read", "write"):
        for unit in ("bps", "iops"):
            if getattr(request, f"device_{direction}_{unit}"):
                lost = f"{unit.upper()} Block I/O {direction} limit"
                warning = _KERNEL + lost + _UNMOUNTED + f"; {lost} discarded"
                discards.append(({f"device_{direction}_{unit}": ()}, warning))
    return discards


def _io_is_weighed(host: Host) -> bool:
    weights = {"blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight"}
    return not host.files.isdisjoint(weights)


def _require_cpus(request: Request, host: Host) -> None:
    wanted, there_are = request.nano_cpus, host.processors
    if wanted is None:
        return
    if not _LEAST_NANO_CPUS <= wanted <= there_are * 10**9:
        raise InvalidInput(
            f"range of CPUs is from 0.01 to {there_are}.00, "
            f"as there are only {there_are} CPUs available"
        )
    if not _time_is_bounded(host):
        raise Unsupported(
            "cpus can not be set, as your kernel does not support CPU CFS scheduler" + _UNMOUNTED
        )


def _require_cpuset(request: Request, host: Host) -> None:
    for wanted, available, what in (
        (request.cpuset_cpus, host.cpus, "CPUs"),
        (request.cpuset_mems, host.mems, "memory nodes"),
    ):
        if not parse_cpuset(wanted) <= available:
            raise InvalidInput(
                f"requested {what} are not available - requested {wanted}, "
                f"available: {format_cpuset(available)}"
            )
