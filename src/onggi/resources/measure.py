"""What a container has used so far, read from its cgroups of either version.

A figure is None where no mounted controller counts it. Times are in microseconds and counted
since the cgroup was made; read them before it is removed.

Source: kernel Documentation/admin-guide/cgroup-v2.rst, "Controllers"; cgroup-v1/memory.rst,
cpuacct.rst and blkio-controller.rst.
"""

from __future__ import annotations

import os

from onggi.linux import cgroup
from onggi.resources.conversion import V1_UNLIMITED
from onggi.resources.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    from onggi.linux.cgroup import Hierarchy

    Paths: TypeAlias = Sequence[tuple[Hierarchy, str]]
    Figures: TypeAlias = dict[str, int | None]


class Usage(Value):
    """What `measure` found.

    `memory_bytes` counts the page cache too; `memory_used_bytes` leaves out the part of it that
    the kernel would drop first, and is what docker shows.
    """

    __slots__ = (
        "block_read_bytes",
        "block_reads",
        "block_writes",
        "block_written_bytes",
        "cpu_periods",
        "cpu_system_usec",
        "cpu_throttled_periods",
        "cpu_throttled_usec",
        "cpu_usec",
        "cpu_user_usec",
        "inactive_file_bytes",
        "memory_bytes",
        "memory_limit_bytes",
        "memory_peak_bytes",
        "pids",
        "pids_limit",
        "swap_bytes",
    )

    def __init__(self, figures: Figures) -> None:
        for name in self.__slots__:
            setattr(self, name, figures.get(name))

    cpu_usec: int | None
    cpu_user_usec: int | None
    cpu_system_usec: int | None
    cpu_periods: int | None
    cpu_throttled_periods: int | None
    cpu_throttled_usec: int | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    memory_peak_bytes: int | None
    inactive_file_bytes: int | None
    swap_bytes: int | None
    pids: int | None
    pids_limit: int | None
    block_read_bytes: int | None
    block_written_bytes: int | None
    block_reads: int | None
    block_writes: int | None

    @property
    def memory_used_bytes(self) -> int | None:
        """Memory less the file pages not used lately.

        Source: docker/cli command/container/stats_helpers.go, calculateMemUsageUnixNoCache.
        """
        if self.memory_bytes is None:
            return None
        return max(self.memory_bytes - (self.inactive_file_bytes or 0), 0)


def measure(paths: Paths) -> Usage:
    """Read what the container in these cgroups has used.

    Args: paths: (hierarchy, directory), as from `layout.cgroup_paths`.
    Raises: FileNotFoundError: a cgroup does not exist, or no longer.
    """
    figures: Figures = {}
    # v2 first: beside v1 controllers its cpu.stat still counts time, and theirs counts more.
    for hierarchy, path in sorted(paths, key=lambda each: -each[0].version):
        os.stat(path)  # a controller's file may be missing; the cgroup itself may not
        for read in _readers(hierarchy):
            figures.update(_found(read(path)))
    return Usage(figures)


def memory_stat(directories: Iterable[str]) -> dict[str, int]:
    """Return what the kernel's memory.stat says of the container, by the kernel's own names.

    Args: directories: the container's, of every hierarchy.
    Returns: nothing where no memory controller counts.
    """
    return next(filter(None, (_keyed(f"{path}/memory.stat") for path in directories)), {})


def cpus_nanoseconds(directories: Iterable[str]) -> list[int]:
    """Return the time that the container had on each processor, in nanoseconds, by its number.

    Args: directories: the container's, of every hierarchy.
    Returns: nothing where the kernel does not count so: it does in v1 alone (cpuacct).
    """
    found = filter(None, (_text(f"{path}/cpuacct.usage_percpu") for path in directories))
    return [int(word) for word in next(found, "").split()]


def memory_refusals(directories: Iterable[str]) -> int | None:
    """Count how often the container's memory met its limit; mostly, that ends in reclaim.

    Args: directories: the container's, of every hierarchy.
    Returns: None where no memory controller counts.
    """
    for path in directories:
        count = _number(f"{path}/memory.failcnt")
        if count is None:
            count = _keyed(f"{path}/memory.events").get("max")
        if count is not None:
            return count
    return None


def oom_kills(directories: Iterable[str]) -> int:
    """Count the processes of the container that the kernel killed for want of memory.

    Neither memory.failcnt nor `max` in memory.events would tell: both count how often the limit
    was met, which mostly ends in reclaim. `oom_kill` counts victims by the cgroup they were in,
    also when the memory that ran out was a parent's or the host's.

    In v2 memory.events counts what happened below, too. In v1 each cgroup counts only its own
    (since commit 04fd61a4e010 in Linux 5.8), so those below are added.

    Args: directories: the container's, of every hierarchy; the memory controller's file tells
        which of them counts.
    Returns: 0 also where no memory controller counts.
    """
    for path in directories:
        if os.access(f"{path}/memory.oom_control", os.F_OK):
            return _oom_kills_v1(path)
        if os.access(f"{path}/memory.events", os.F_OK):
            return _keyed(f"{path}/memory.events").get("oom_kill", 0)
    return 0


def _oom_kills_v1(path: str) -> int:
    below = sum(_oom_kills_v1(os.fsdecode(child)) for child in cgroup.children(path))
    return below + _keyed(f"{path}/memory.oom_control").get("oom_kill", 0)


def _found(figures: Figures) -> Figures:
    return {name: value for name, value in figures.items() if value is not None}


def _text(path: str) -> str:
    """Read a control file; "" when the kernel or this host's controllers do not have it."""
    try:
        return cgroup.read(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _keyed(path: str) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _number(path: str) -> int | None:
    """Read one number; None for `max`, for v1's way to say so, and for no file."""
    text = _text(path)
    if not text or text == "max":
        return None
    return int(text) if int(text) < V1_UNLIMITED else None


def _divided(number: int | None, divisor: int) -> int | None:
    return None if number is None else number // divisor


def _pids(path: str) -> Figures:
    return {"pids": _number(f"{path}/pids.current"), "pids_limit": _number(f"{path}/pids.max")}


def _cpu_v2(path: str) -> Figures:
    # cpu.stat is there even without the cpu controller, but then without the throttling.
    stat = _keyed(f"{path}/cpu.stat")
    return {
        "cpu_usec": stat.get("usage_usec"),
        "cpu_user_usec": stat.get("user_usec"),
        "cpu_system_usec": stat.get("system_usec"),
        "cpu_periods": stat.get("nr_periods"),
        "cpu_throttled_periods": stat.get("nr_throttled"),
        "cpu_throttled_usec": stat.get("throttled_usec"),
    }


def _cpu_v1(path: str) -> Figures:
    stat = _keyed(f"{path}/cpu.stat")
    return {
        "cpu_periods": stat.get("nr_periods"),
        "cpu_throttled_periods": stat.get("nr_throttled"),
        "cpu_throttled_usec": _divided(stat.get("throttled_time"), 1000),
    }


def _cpuacct_v1(path: str) -> Figures:
    stat = _keyed(f"{path}/cpuacct.stat")
    tick_usec = 1_000_000 // os.sysconf("SC_CLK_TCK")
    return {
        "cpu_usec": _divided(_number(f"{path}/cpuacct.usage"), 1000),
        "cpu_user_usec": stat.get("user", 0) * tick_usec,
        "cpu_system_usec": stat.get("system", 0) * tick_usec,
    }


def _memory_v2(path: str) -> Figures:
    return {
        "memory_bytes": _number(f"{path}/memory.current"),
        "memory_limit_bytes": _number(f"{path}/memory.max"),
        "memory_peak_bytes": _number(f"{path}/memory.peak"),
        "inactive_file_bytes": _keyed(f"{path}/memory.stat").get("inactive_file"),
        "swap_bytes": _number(f"{path}/memory.swap.current"),
    }


def _memory_v1(path: str) -> Figures:
    stat = _keyed(f"{path}/memory.stat")
    return {
        "memory_bytes": _number(f"{path}/memory.usage_in_bytes"),
        "memory_limit_bytes": _number(f"{path}/memory.limit_in_bytes"),
        "memory_peak_bytes": _number(f"{path}/memory.max_usage_in_bytes"),
        "inactive_file_bytes": stat.get("total_inactive_file"),
        "swap_bytes": stat.get("total_swap"),
    }


def _io_v2(path: str) -> Figures:
    if not os.access(f"{path}/io.stat", os.R_OK):
        return {}
    totals = {"rbytes": 0, "wbytes": 0, "rios": 0, "wios": 0}
    for line in _text(f"{path}/io.stat").splitlines():
        for pair in line.split()[1:]:
            key, _, value = pair.partition("=")
            if key in totals:
                totals[key] += int(value)
    return {
        "block_read_bytes": totals["rbytes"],
        "block_written_bytes": totals["wbytes"],
        "block_reads": totals["rios"],
        "block_writes": totals["wios"],
    }


def _blkio_v1(path: str) -> Figures:
    moved = _by_direction(f"{path}/blkio.throttle.io_service_bytes_recursive")
    done = _by_direction(f"{path}/blkio.throttle.io_serviced_recursive")
    return {
        "block_read_bytes": moved.get("Read"),
        "block_written_bytes": moved.get("Write"),
        "block_reads": done.get("Read"),
        "block_writes": done.get("Write"),
    }


def _by_direction(path: str) -> dict[str, int]:
    """Add up `8:0 Read 4096` over the devices."""
    text = _text(path)
    totals = {"Read": 0, "Write": 0} if text else {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1] in totals:
            totals[fields[1]] += int(fields[2])
    return totals


_READERS_V1: dict[str, Callable[[str], Figures]] = {
    "cpu": _cpu_v1,
    "cpuacct": _cpuacct_v1,
    "memory": _memory_v1,
    "pids": _pids,
    "blkio": _blkio_v1,
}
_READERS_V2 = (_cpu_v2, _memory_v2, _io_v2, _pids)


def _readers(hierarchy: Hierarchy) -> Sequence[Callable[[str], Figures]]:
    if hierarchy.version == 2:
        return _READERS_V2
    return [_READERS_V1[name] for name in hierarchy.controllers if name in _READERS_V1]
