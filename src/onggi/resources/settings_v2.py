"""OCI `linux.resources` as files of cgroup v2, a function for each controller.

What v1 had and v2 does not is refused by name: a limit that would not hold is worse than none.

Source: kernel Documentation/admin-guide/cgroup-v2.rst, "Controllers"; opencontainers/cgroups fs2/.
"""

from __future__ import annotations

from onggi.errors import InvalidInput, Unsupported
from onggi.resources.conversion import (
    blkio_to_io_weight,
    shares_to_weight,
    swap_beyond_memory,
)
from onggi.resources.setting import in_bytes, in_processors
from onggi.resources.settings_v1 import DEFAULT_PERIOD_USEC, device_weights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.resources.setting import Writer

# OCI's name below blockIO -> the key in io.max, and the unit of its rate.
THROTTLES = {
    "throttleReadBpsDevice": ("rbps", "bytes read a second"),
    "throttleWriteBpsDevice": ("wbps", "bytes written a second"),
    "throttleReadIOPSDevice": ("riops", "reads a second"),
    "throttleWriteIOPSDevice": ("wiops", "writes a second"),
}


def memory(asked: dict[str, Any], writer: Writer) -> None:
    """Bound swap, then memory; the two are counted apart, so neither order can fail."""
    _refuse(asked, {"swappiness": "memory.swappiness", "disableOOMKiller": "memory.oom_control"})
    _refuse(asked, {"kernelTCP": "memory.kmem.tcp.limit_in_bytes"})
    limit, swap = asked.get("limit"), asked.get("swap")
    if limit == -1 and swap is None:
        swap = -1  # as runc: "no limit" on memory means none on swap either
    if swap is not None:
        _swap(swap, limit, writer)
    if limit is not None:
        reason = f"{in_bytes(limit)}: beyond it the kernel reclaims, and then kills"
        writer.write("memory.max", _or_max(limit), reason)
    if "reservation" in asked:
        kept = in_bytes(asked["reservation"])
        reason = f"when the host runs short, reclaim elsewhere before going below {kept} here"
        writer.write("memory.low", _or_max(asked["reservation"]), reason)


def _swap(memory_and_swap: int, memory_limit: int | None, writer: Writer) -> None:
    if memory_limit is None and memory_and_swap != -1:
        raise InvalidInput("unable to set swap limit without memory limit")
    swap = swap_beyond_memory(memory_and_swap, memory_limit or -1)
    if swap < -1:
        raise InvalidInput("memory+swap limit should be >= memory limit")
    holds_anyway = swap in (0, -1)  # as runc: without the file there is no swap to bound
    if "memory.swap.max" not in writer.files and not holds_anyway:
        hint = "boot with swapaccount=1, or leave swap unlimited with -1"
        raise Unsupported("this kernel does not count swap: it has no memory.swap.max", hint=hint)
    reason = f"{in_bytes(swap)} of swap, beside the memory"
    writer.write("memory.swap.max", _or_max(swap), reason, optional=holds_anyway)


def cpu(asked: dict[str, Any], writer: Writer) -> None:
    """Weigh and bound processor time."""
    _refuse(asked, {"realtimeRuntime": "cpu.rt_runtime_us", "realtimePeriod": "cpu.rt_period_us"})
    if "idle" in asked:
        writer.write("cpu.idle", asked["idle"], "run only when nobody else wants the processor")
    elif "shares" in asked:
        reason = f"{asked['shares']} shares of v1, where 1024 is the default, as a weight of v2"
        writer.write("cpu.weight", shares_to_weight(asked["shares"]), reason + ", where 100 is")
    if "quota" in asked or "period" in asked:
        _quota(asked.get("quota", -1), asked.get("period", DEFAULT_PERIOD_USEC), writer)
    if "burst" in asked:
        reason = "microseconds of unused quota that may be saved for later"
        writer.write("cpu.max.burst", asked["burst"], reason)


def _quota(quota: int, period: int, writer: Writer) -> None:
    reason = "no limit on processor time" if quota < 0 else in_processors(quota, period)
    writer.write("cpu.max", f"{_or_max(quota)} {period}", reason)


def io(asked: dict[str, Any], writer: Writer) -> None:
    """Weigh and throttle block devices."""
    devices = device_weights(asked)
    if "weight" in asked or devices:
        _weights(asked, devices, writer)
    for name, (key, unit) in THROTTLES.items():
        for limit in asked.get(name, ()):
            # 0 lifted a limit in v1; here it would be refused.
            rate = limit.get("rate") or "max"
            value = f"{limit['major']}:{limit['minor']} {key}={rate}"
            writer.write("io.max", value, f"at most {rate} {unit}")


def _weights(asked: dict[str, Any], devices: list[tuple[str, int]], writer: Writer) -> None:
    file = writer.first_present("io.bfq.weight", "io.weight")
    if file is None:
        raise Unsupported(
            "this kernel cannot weigh block I/O: neither io.bfq.weight nor io.weight",
            hint="load the bfq module, or enable iocost in io.cost.qos",
        )
    if "weight" in asked:
        reason = "a share of each device's time when it is short; 100 is the default"
        writer.write(file, _weight(asked["weight"], file), reason)
    for device, weight in devices:
        writer.write(
            file,
            f"{device} {_weight(weight, file)}",
            "a share of this device's time when it is short",
        )


def _weight(weight: int, file: str) -> int:
    return blkio_to_io_weight(weight) if file == "io.weight" else weight


def hugetlb(asked: list[dict[str, Any]], writer: Writer) -> None:
    """Bound huge pages in use and, since Linux 5.7, huge pages reserved."""
    for limit in asked:
        reason = f"bytes in huge pages of {limit['pageSize']}"
        prefix = f"hugetlb.{limit['pageSize']}"
        writer.write(f"{prefix}.max", limit["limit"], reason)
        writer.write(f"{prefix}.rsvd.max", limit["limit"], reason + ", reserved", optional=True)


def _or_max(number: int) -> int | str:
    return "max" if number < 0 else number


def _refuse(asked: dict[str, Any], gone: dict[str, str]) -> None:
    for name, file in gone.items():
        if name in asked:
            raise Unsupported(f"cgroup v2 has nothing like {file}, which {name} needs")
