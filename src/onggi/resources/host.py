"""What this host can grant, read once and handed to the pure parts as a value."""

from __future__ import annotations

import os
import stat

from onggi.errors import InvalidInput
from onggi.resources.cpuset import parse_cpuset
from onggi.resources.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onggi.linux.cgroup import Hierarchy

# Control files that a kernel with the controller may still lack, and why it would:
OPTIONAL_FILES = (
    "memory.memsw.limit_in_bytes",  # v1, built or booted without swap accounting
    "memory.swap.max",  # v2, likewise
    "cpu.cfs_quota_us",  # v1 without CONFIG_CFS_BANDWIDTH
    "cpu.max",  # v2 likewise
    "blkio.weight",  # v1 with the CFQ scheduler, until Linux 5.0
    "blkio.bfq.weight",  # v1 with the BFQ scheduler built in or its module loaded
    "io.weight",  # v2 with the iocost controller
    "io.bfq.weight",  # v2 with BFQ
    "blkio.throttle.read_bps_device",  # v1 with CONFIG_BLK_DEV_THROTTLING
    "io.max",  # v2 likewise
)


class Host(Value):
    """What there is to share: processors, memory nodes, controllers and their control files."""

    __slots__ = ("controllers", "cpus", "files", "mems", "processors", "v2_memory")

    def __init__(
        self,
        *,
        processors: int,
        cpus: frozenset[int],
        mems: frozenset[int],
        controllers: frozenset[str],
        files: frozenset[str],
        v2_memory: bool,
    ) -> None:
        self.processors = processors
        self.cpus = cpus
        self.mems = mems
        self.controllers = controllers
        self.files = files
        self.v2_memory = v2_memory


def read_host(hierarchies: Sequence[Hierarchy], directories: Iterable[str]) -> Host:
    """Read what this host has.

    Args:
        hierarchies: the mounted ones.
        directories: a directory of each of them that is not its root, where there is one: some
            control files exist only there. The directory above the containers' serves.
    """
    return Host(
        processors=len(os.sched_getaffinity(0)),
        cpus=_effective(hierarchies, "cpus", "/sys/devices/system/cpu/online"),
        mems=_effective(hierarchies, "mems", "/sys/devices/system/node/online"),
        controllers=frozenset(name for each in hierarchies for name in each.controllers),
        files=control_files(directories),
        v2_memory=any(each.version == 2 and "memory" in each.controllers for each in hierarchies),
    )


def control_files(directories: Iterable[str]) -> frozenset[str]:
    """Return those of OPTIONAL_FILES that one of these cgroups has."""
    return frozenset(
        name
        for directory in directories
        for name in OPTIONAL_FILES
        if os.access(f"{directory}/{name}", os.F_OK)
    )


def device_numbers(paths: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return (major, minor) of the block device at each path.

    Raises: InvalidInput: there is none.
    """
    return {path: _block_device(path) for path in paths}


def _block_device(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidInput(f"no block device at {path}: {error.strerror}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidInput(f"not a block device: {path}")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _effective(hierarchies: Sequence[Hierarchy], kind: str, otherwise: str) -> frozenset[int]:
    """Read what the cpuset controller may hand out, or what the machine has without one."""
    for hierarchy in hierarchies:
        if "cpuset" in hierarchy.controllers:
            name = f"effective_{kind}" if hierarchy.version == 1 else f"{kind}.effective"
            return parse_cpuset(_read(f"{hierarchy.mountpoint}/cpuset.{name}"))
    return parse_cpuset(_read(otherwise)) if os.access(otherwise, os.R_OK) else frozenset({0})


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()
