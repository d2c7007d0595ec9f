"""OCI `linux.resources` as files of cgroup v1, a function for each controller.

Each takes what was asked of its controller, with nothing in it that was not asked for.

Source: kernel Documentation/admin-guide/cgroup-v1/; Documentation/scheduler/sched-bwc.rst;
opencontainers/cgroups fs/, for the order of writes.
"""

from __future__ import annotations

from onggi.errors import InvalidInput, Unsupported
from onggi.resources.setting import in_bytes, in_processors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.resources.setting import Writer

# OCI's name below blockIO -> the control file, and the unit of its rate.
THROTTLES = {
    "throttleReadBpsDevice": ("blkio.throttle.read_bps_device", "bytes read a second"),
    "throttleWriteBpsDevice": ("blkio.throttle.write_bps_device", "bytes written a second"),
    "throttleReadIOPSDevice": ("blkio.throttle.read_iops_device", "reads a second"),
    "throttleWriteIOPSDevice": ("blkio.throttle.write_iops_device", "writes a second"),
}
DEFAULT_PERIOD_USEC = 100_000


def memory(asked: dict[str, Any], writer: Writer) -> None:
    """Bound memory, then memory and swap together.

    The kernel refuses at any moment memory+swap < memory. A new cgroup has no limit on either, so
    the lower one, memory, is written first; unless both are being lifted.
    """
    limit, swap = asked.get("limit"), asked.get("swap")
    if limit == -1 and swap is None:
        swap = -1  # as runc: "no limit" on memory means none on swap either
    if swap == -1:
        _memory_and_swap(swap, writer)
    if limit is not None:
        reason = f"{in_bytes(limit)}: beyond it the kernel reclaims, and then kills"
        writer.write("memory.limit_in_bytes", limit, reason)
    if swap is not None and swap != -1:
        if limit is None or limit == -1:
            raise InvalidInput("unable to set swap limit without memory limit")
        _memory_and_swap(swap, writer)
    _other_memory(asked, writer)


def _memory_and_swap(swap: int, writer: Writer) -> None:
    file = "memory.memsw.limit_in_bytes"
    if file not in writer.files and swap != -1:
        hint = "boot with swapaccount=1, or leave swap unlimited with -1"
        raise Unsupported(f"this kernel does not count swap: it has no {file}", hint=hint)
    reason = f"{in_bytes(swap)} for memory and swap together"
    writer.write(file, swap, reason, optional=swap == -1)


def _other_memory(asked: dict[str, Any], writer: Writer) -> None:
    if "reservation" in asked:
        kept = in_bytes(asked["reservation"])
        reason = f"when the host runs short, reclaim here down to {kept} before elsewhere"
        writer.write("memory.soft_limit_in_bytes", asked["reservation"], reason)
    if "kernelTCP" in asked:
        reason = f"{in_bytes(asked['kernelTCP'])} for the buffers of TCP connections"
        writer.write("memory.kmem.tcp.limit_in_bytes", asked["kernelTCP"], reason)
    if "swappiness" in asked:
        reason = "0 keeps programs in memory as long as possible, 100 swaps them as soon as files"
        writer.write("memory.swappiness", asked["swappiness"], reason)
    if "disableOOMKiller" in asked:
        reason = "out of memory, processes wait for some to be freed instead of being killed"
        writer.write("memory.oom_control", 1, reason)


def cpu(asked: dict[str, Any], writer: Writer) -> None:
    """Weigh and bound processor time; the period goes first, for the quota is judged against it."""
    if "idle" in asked:
        writer.write("cpu.idle", asked["idle"], "run only when nobody else wants the processor")
    elif "shares" in asked:
        reason = "a share of the processors when they are short, against 1024 of a default cgroup"
        writer.write("cpu.shares", asked["shares"], reason)
    if "period" in asked:
        reason = "microseconds after which the quota is granted again"
        writer.write("cpu.cfs_period_us", asked["period"], reason)
    if "quota" in asked:
        _quota(asked["quota"], asked.get("period", DEFAULT_PERIOD_USEC), writer)
    if "burst" in asked:
        reason = "microseconds of unused quota that may be saved for later"
        writer.write("cpu.cfs_burst_us", asked["burst"], reason)
    if "realtimePeriod" in asked:
        reason = "microseconds after which real-time processes get their time again"
        writer.write("cpu.rt_period_us", asked["realtimePeriod"], reason)
    if "realtimeRuntime" in asked:
        reason = "microseconds of each period for real-time processes"
        writer.write("cpu.rt_runtime_us", asked["realtimeRuntime"], reason)


def _quota(quota: int, period: int, writer: Writer) -> None:
    reason = "no limit on processor time" if quota < 0 else in_processors(quota, period)
    writer.write("cpu.cfs_quota_us", quota, reason)


def cpuset(asked: dict[str, Any], writer: Writer) -> None:
    """Bind to processors and memory nodes, within what the parent cgroup has."""
    if "cpus" in asked:
        writer.write("cpuset.cpus", asked["cpus"], "the processors that may run these processes")
    if "mems" in asked:
        writer.write("cpuset.mems", asked["mems"], "the memory nodes that new pages may come from")


def pids(asked: dict[str, Any], writer: Writer) -> None:
    """Bound the number of processes and threads; the file is the same in both versions."""
    limit = asked["limit"]
    reason = "processes and threads; fork(2) and clone(2) fail with EAGAIN beyond"
    writer.write("pids.max", limit if limit > 0 else "max", reason)


def blkio(asked: dict[str, Any], writer: Writer) -> None:
    """Weigh and throttle block devices."""
    devices = device_weights(asked)
    if "weight" in asked or devices:
        _weights(asked, devices, writer)
    for name, (file, unit) in THROTTLES.items():
        for limit in asked.get(name, ()):
            device = f"{limit['major']}:{limit['minor']}"
            rate = limit.get("rate", 0)
            writer.write(file, f"{device} {rate}", f"at most {rate} {unit}")


def device_weights(asked: dict[str, Any]) -> list[tuple[str, int]]:
    """Return (MAJOR:MINOR, weight) of each device that is weighed, in either version.

    Raises: Unsupported: a weight against a cgroup's own children is asked for, of all or of one.
    """
    devices = asked.get("weightDevice", [])
    if any(one.get("leafWeight") for one in (asked, *devices)):  # 0 is how Go says nothing
        raise Unsupported(
            "this kernel has no blkio.leaf_weight: it went with the CFQ scheduler in Linux 5.0"
        )
    weighed = (one for one in devices if one.get("weight"))
    return [(f"{one['major']}:{one['minor']}", one["weight"]) for one in weighed]


def _weights(asked: dict[str, Any], devices: list[tuple[str, int]], writer: Writer) -> None:
    file = writer.first_present("blkio.weight", "blkio.bfq.weight")
    if file is None:
        raise Unsupported(
            "this kernel cannot weigh block I/O: no blkio.bfq.weight",
            hint="load the bfq module and choose it in /sys/block/DEVICE/queue/scheduler",
        )
    if "weight" in asked:
        reason = "a share of each device's time when it is short; needs the BFQ scheduler there"
        writer.write(file, asked["weight"], reason)
    for device, weight in devices:
        writer.write(
            f"{file}_device", f"{device} {weight}", "a share of this device's time when it is short"
        )


def hugetlb(asked: list[dict[str, Any]], writer: Writer) -> None:
    """Bound huge pages in use and, since Linux 5.7, huge pages reserved."""
    for limit in asked:
        reason = f"bytes in huge pages of {limit['pageSize']}"
        prefix = f"hugetlb.{limit['pageSize']}"
        writer.write(f"{prefix}.limit_in_bytes", limit["limit"], reason)
        writer.write(
            f"{prefix}.rsvd.limit_in_bytes", limit["limit"], reason + ", reserved", optional=True
        )


def net_cls(asked: dict[str, Any], writer: Writer) -> None:
    """Mark the packets sent."""
    reason = "the class of traffic control that packets from here belong to"
    writer.write("net_cls.classid", asked["classID"], reason)


def net_prio(asked: dict[str, Any], writer: Writer) -> None:
    """Give the packets sent a priority on each interface."""
    for priority in asked["priorities"]:
        value = f"{priority['name']} {priority['priority']}"
        writer.write("net_prio.ifpriomap", value, "interface, and the priority of packets on it")


def rdma(asked: dict[str, dict[str, int]], writer: Writer) -> None:
    """Bound what RDMA devices hand out; the file is the same in both versions."""
    for device, limits in asked.items():
        bounds = (
            f"{file}={limits[name]}"
            for file, name in (("hca_handle", "hcaHandles"), ("hca_object", "hcaObjects"))
            if name in limits
        )
        writer.write("rdma.max", " ".join((device, *bounds)), "handles and objects of this device")
