"""What this host can grant, read once and handed to the pure parts as a value."""

from __future__ import annotations

import os
import stat

from onggi.errors import InvalidInput
from onggi.linux import cgroup
from onggi.resources.cpuset import parse_cpuset
from onggi.resources.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onggi.linux.cgroup import Hierarchy

# Control files that a kernel with the controller may lack, why it would, and what shows that it
# does not. In v1: a file in the root of the hierarchy.
EVIDENCE_V1 = {
    # Lacking without swap accounting.
    "memory.memsw.limit_in_bytes": "memory.memsw.limit_in_bytes",
    # Lacking without CONFIG_CFS_BANDWIDTH.
    "cpu.cfs_quota_us": "cpu.cfs_quota_us",
    # Lacking without CONFIG_BLK_DEV_THROTTLING.
    "blkio.throttle.read_bps_device": "blkio.throttle.read_bps_device",
    # Of the CFQ scheduler, until Linux 5.0. The root has no weight, but one for its own processes.
    "blkio.weight": "blkio.leaf_weight",
    # Of the BFQ scheduler, built in or as a module that is loaded. The root has only its figures.
    "blkio.bfq.weight": "blkio.bfq.io_service_bytes",
}
# In v2 the root has hardly any file, so a child is looked at: one that has the controller, which
# the file named here shows. While no child has, the truth value is believed.
EVIDENCE_V2 = {
    "memory.swap.max": ("memory.max", True),
    "cpu.max": ("cpu.weight", True),
    "io.max": ("io.stat", True),
    "io.weight": ("io.stat", False),  # of the iocost controller
    "io.bfq.weight": ("io.stat", False),
}


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


def read_host(hierarchies: Sequence[Hierarchy]) -> Host:
    """Read what this host has in its mounted hierarchies."""
    return Host(
        processors=len(os.sched_getaffinity(0)),
        cpus=_effective(hierarchies, "cpus", "/sys/devices/system/cpu/online"),
        mems=_effective(hierarchies, "mems", "/sys/devices/system/node/online"),
        controllers=frozenset(name for each in hierarchies for name in each.controllers),
        files=control_files(hierarchies),
        v2_memory=any(each.version == 2 and "memory" in each.controllers for each in hierarchies),
    )


def control_files(hierarchies: Iterable[Hierarchy]) -> frozenset[str]:
    """Return those of the optional control files that this kernel has.

    Where nothing shows it yet, the answer is that of most kernels; writing then finds out.
    """
    found: list[str] = []
    for hierarchy in hierarchies:
        found += _files_v1(hierarchy) if hierarchy.version == 1 else _files_v2(hierarchy)
    return frozenset(found)


def _files_v1(hierarchy: Hierarchy) -> list[str]:
    return [
        file
        for file, evidence in EVIDENCE_V1.items()
        if file.partition(".")[0] in hierarchy.controllers
        and _exists(hierarchy.mountpoint, evidence)
    ]


def _files_v2(hierarchy: Hierarchy) -> list[str]:
    children = [os.fsdecode(child) for child in cgroup.children(hierarchy.mountpoint)]
    found = []
    for file, (always_there, believed) in EVIDENCE_V2.items():
        if file.partition(".")[0] in hierarchy.controllers:
            sample = next((each for each in children if _exists(each, always_there)), None)
            if believed if sample is None else _exists(sample, file):
                found.append(file)
    return found


def _exists(directory: str, file: str) -> bool:
    return os.access(f"{directory}/{file}", os.F_OK)


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
            return parse_cpuset(cgroup.read(f"{hierarchy.mountpoint}/cpuset.{name}"))
    return parse_cpuset(cgroup.read(otherwise)) if os.access(otherwise, os.R_OK) else frozenset({0})
