"""How numbers meant for cgroup v1 are read by cgroup v2: kernel facts and the runtimes' formulas.

OCI's `linux.resources` speaks v1: shares, a blkio weight, memory and swap in one number. Each
runtime converts them for v2, and we convert as runc does, so that a container weighs the same
under either.
"""

from __future__ import annotations

# cpu.shares; kernel/sched/sched.h, MIN_SHARES and MAX_SHARES.
SHARES_LEAST, SHARES_DEFAULT, SHARES_MOST = 2, 1024, 1 << 18
# cpu.weight and io.weight; include/linux/cgroup.h, CGROUP_WEIGHT_MIN, _DFL and _MAX.
WEIGHT_LEAST, WEIGHT_DEFAULT, WEIGHT_MOST = 1, 100, 10_000
# OCI's blkio weight, that of the old CFQ scheduler.
BLKIO_WEIGHT_LEAST, BLKIO_WEIGHT_MOST = 10, 1000

# What a v1 limit file shows for "no limit": LONG_MAX cut to whole pages, so the exact number
# depends on the page size. No machine has a quarter of it.
V1_UNLIMITED = 1 << 61


def shares_to_weight(shares: int) -> int:
    """Convert cpu.shares [2, 262144] to cpu.weight [1, 10000]; values beyond are clamped.

    A curve through (2, 1), (1024, 100) and (262144, 10000): with the straight line that runtimes
    drew until 2025, the default of 1024 became 39, and a container that asked for the default
    weighed less than half of its neighbours.

    Source: opencontainers/cgroups pull request 20, in runc since 1.3.2; crun since 1.23.
    """
    if shares <= SHARES_LEAST:
        return WEIGHT_LEAST
    if shares >= SHARES_MOST:
        return WEIGHT_MOST
    from math import ceil, log2

    exponent = log2(shares)
    return ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34))


def blkio_to_io_weight(weight: int) -> int:
    """Convert a blkio weight [10, 1000] to io.weight [1, 10000], on a straight line.

    Only for io.weight: blkio.bfq.weight and io.bfq.weight take 1 to 1000 as it is.

    Source: opencontainers/cgroups utils.go, ConvertBlkIOToIOWeightValue; runc issue 2786.
    """
    clamped = min(max(weight, BLKIO_WEIGHT_LEAST), BLKIO_WEIGHT_MOST)
    return WEIGHT_LEAST + (clamped - BLKIO_WEIGHT_LEAST) * (WEIGHT_MOST - 1) // 990


def swap_beyond_memory(memory_and_swap: int, memory: int) -> int:
    """Convert v1's memory and swap together to v2's swap alone; -1 is unlimited.

    Source: opencontainers/cgroups utils.go, ConvertMemorySwapToCgroupV2Value.
    """
    if memory_and_swap < 0 or memory < 0:
        return memory_and_swap
    return memory_and_swap - memory
