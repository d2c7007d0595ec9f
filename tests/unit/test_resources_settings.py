"""Which numbers go into which files, in which order, on each kind of host."""

from typing import Any

import pytest

from onggi.errors import InvalidInput, OnggiError, Unsupported
from onggi.linux.cgroup import Hierarchy
from onggi.resources.setting import in_bytes, in_processors
from onggi.resources.settings import settings
from support.hierarchies import FILES_V1, FILES_V2, hybrid, legacy, unified, v1, v2

MIB = 1 << 20


def plan(
    resources: dict[str, Any],
    hierarchies: list[Hierarchy],
    files: frozenset[str] = FILES_V1 | FILES_V2,
) -> list[tuple[str, str]]:
    return [(each.file, each.value) for each in settings(resources, hierarchies, files)]


EVERYTHING: dict[str, Any] = {
    "memory": {"limit": 64 * MIB, "swap": 128 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 512, "period": 50_000, "quota": 25_000, "cpus": "0-1", "mems": "0"},
    "pids": {"limit": 20},
    "blockIO": {
        "weight": 500,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 100}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1024}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 10}],
    },
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}],
    "devices": [{"allow": False}],
}

AS_V1 = [
    ("memory.limit_in_bytes", "67108864"),
    ("memory.memsw.limit_in_bytes", "134217728"),
    ("memory.soft_limit_in_bytes", "33554432"),
    ("cpu.shares", "512"),
    ("cpu.cfs_period_us", "50000"),
    ("cpu.cfs_quota_us", "25000"),
    ("cpuset.cpus", "0-1"),
    ("cpuset.mems", "0"),
    ("pids.max", "20"),
    ("blkio.bfq.weight", "500"),
    ("blkio.bfq.weight_device", "8:0 100"),
    ("blkio.throttle.read_bps_device", "8:0 1024"),
    ("blkio.throttle.write_iops_device", "8:0 10"),
    ("hugetlb.2MB.limit_in_bytes", "4194304"),
    ("hugetlb.2MB.rsvd.limit_in_bytes", "4194304"),
]

AS_V2 = [
    ("memory.swap.max", "67108864"),
    ("memory.max", "67108864"),
    ("memory.low", "33554432"),
    ("cpu.weight", "59"),
    ("cpu.max", "25000 50000"),
    ("cpuset.cpus", "0-1"),
    ("cpuset.mems", "0"),
    ("pids.max", "20"),
    ("io.weight", "4950"),
    ("io.weight", "8:0 910"),
    ("io.max", "8:0 rbps=1024"),
    ("io.max", "8:0 wiops=10"),
    ("hugetlb.2MB.max", "4194304"),
    ("hugetlb.2MB.rsvd.max", "4194304"),
]


def test_all_of_it_in_v1() -> None:
    assert plan(EVERYTHING, legacy()) == AS_V1


def test_all_of_it_in_v2() -> None:
    assert plan(EVERYTHING, unified()) == AS_V2


def test_all_of_it_where_both_are() -> None:
    assert plan(EVERYTHING, hybrid()) == AS_V1[:-2] + AS_V2[-2:]


def test_each_goes_to_the_hierarchy_of_its_controller() -> None:
    for each in settings(EVERYTHING, hybrid(), FILES_V1):
        assert each.file.split(".")[0] in each.hierarchy.controllers
        assert each.reason
        assert "\n" not in each.reason


def test_controllers_mounted_together() -> None:
    together = [v1("blkio", "memory", "cpu", "cpuacct")]
    asked = {"memory": {"limit": MIB}, "cpu": {"shares": 2}}
    assert plan(asked, together) == [("memory.limit_in_bytes", str(MIB)), ("cpu.shares", "2")]


def test_nothing_asked_nothing_written() -> None:
    empty = {
        "memory": {"limit": 0, "disableOOMKiller": False, "useHierarchy": True, "kernel": 5},
        "cpu": {"shares": 0, "quota": 0, "cpus": ""},
        "pids": {"limit": 0},
        "blockIO": {"weight": 0},
        "hugepageLimits": [],
    }
    assert plan(empty, []) == plan({}, []) == []


def test_limits_are_lifted_with_swap_first_in_v1() -> None:
    lifted = [("memory.memsw.limit_in_bytes", "-1"), ("memory.limit_in_bytes", "-1")]
    assert plan({"memory": {"limit": -1}}, legacy()) == lifted
    assert plan({"memory": {"limit": -1, "swap": -1}}, legacy()) == lifted
    assert plan({"memory": {"limit": -1}}, unified()) == [
        ("memory.swap.max", "max"),
        ("memory.max", "max"),
    ]


def test_swap_that_is_off_or_free_needs_no_accounting() -> None:
    no_files: frozenset[str] = frozenset()
    free = settings({"memory": {"limit": MIB, "swap": -1}}, legacy(), no_files)
    assert [(each.file, each.optional) for each in free] == [
        ("memory.memsw.limit_in_bytes", True),
        ("memory.limit_in_bytes", False),
    ]
    off = settings({"memory": {"limit": MIB, "swap": MIB}}, unified(), no_files)
    assert [(each.value, each.optional) for each in off] == [("0", True), (str(MIB), False)]


def test_cpu_in_v2() -> None:
    assert plan({"cpu": {"quota": -1}}, unified()) == [("cpu.max", "max 100000")]
    assert plan({"cpu": {"period": 5000}}, unified()) == [("cpu.max", "max 5000")]
    assert plan({"cpu": {"quota": 5000, "burst": 100}}, unified()) == [
        ("cpu.max", "5000 100000"),
        ("cpu.max.burst", "100"),
    ]


def test_an_idle_cgroup_takes_no_weight() -> None:
    asked = {"cpu": {"idle": 1, "shares": 1024}}
    assert plan(asked, unified()) == plan(asked, legacy()) == [("cpu.idle", "1")]


def test_zero_swappiness_is_asked_for() -> None:
    assert plan({"memory": {"swappiness": 0}}, legacy()) == [("memory.swappiness", "0")]


def test_the_less_used_of_v1() -> None:
    asked = {
        "memory": {"kernelTCP": 4096, "disableOOMKiller": True},
        "cpu": {"realtimePeriod": 1000, "realtimeRuntime": 500, "burst": 7},
        "network": {"classID": 0x100001, "priorities": [{"name": "eth0", "priority": 5}]},
    }
    assert plan(asked, legacy()) == [
        ("memory.kmem.tcp.limit_in_bytes", "4096"),
        ("memory.oom_control", "1"),
        ("cpu.cfs_burst_us", "7"),
        ("cpu.rt_period_us", "1000"),
        ("cpu.rt_runtime_us", "500"),
        ("net_cls.classid", "1048577"),
        ("net_prio.ifpriomap", "eth0 5"),
    ]


def test_rdma() -> None:
    asked = {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 9}, "mlx4": {"hcaObjects": 1}}}
    assert plan(asked, unified()) == [
        ("rdma.max", "mlx5_1 hca_handle=3 hca_object=9"),
        ("rdma.max", "mlx4 hca_object=1"),
    ]


def test_the_weight_file_that_the_kernel_has() -> None:
    asked = {"blockIO": {"weight": 500}}
    for file, value, hierarchies in (
        ("blkio.weight", "500", legacy()),
        ("blkio.bfq.weight", "500", legacy()),
        ("io.bfq.weight", "500", unified()),
        ("io.weight", "4950", unified()),
    ):
        assert plan(asked, hierarchies, frozenset({file})) == [(file, value)]
    both = frozenset({"io.weight", "io.bfq.weight"})
    assert plan(asked, unified(), both) == [("io.bfq.weight", "500")]


def test_a_rate_of_nothing_lifts_the_limit() -> None:
    asked = {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}}
    assert plan(asked, legacy()) == [("blkio.throttle.read_bps_device", "8:0 0")]
    assert plan(asked, unified()) == [("io.max", "8:0 rbps=max")]


def test_files_of_v2_by_name() -> None:
    asked = {"unified": {"memory.high": "1000", "io.max": "8:0 rbps=1\n8:16 wbps=2"}}
    assert plan(asked, unified()) == [
        ("memory.high", "1000"),
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:16 wbps=2"),
    ]
    assert plan({"unified": {"hugetlb.2MB.max": "0"}}, hybrid()) == [("hugetlb.2MB.max", "0")]
    assert plan({"unified": {"cgroup.max.depth": "0"}}, hybrid()) == [("cgroup.max.depth", "0")]


REFUSED: list[tuple[dict[str, Any], list[Hierarchy], type[OnggiError], str]] = [
    ({"memory": {"limit": 5}}, [v1("cpu")], Unsupported, "has the memory controller.* memory lim"),
    ({"pids": {"limit": 5}}, [v2("cpu")], Unsupported, "has the pids controller"),
    ({"cpu": {"cpus": "0"}}, [v1("cpu")], Unsupported, "has the cpuset controller"),
    ({"memory": {"limit": 5, "swap": 9}}, legacy(), Unsupported, "no memory.memsw.limit_in_bytes"),
    ({"memory": {"limit": 5, "swap": 9}}, unified(), Unsupported, "no memory.swap.max"),
    ({"memory": {"swap": 9}}, legacy(), InvalidInput, "swap limit without memory limit"),
    ({"memory": {"swap": 9}}, unified(), InvalidInput, "swap limit without memory limit"),
    ({"memory": {"limit": 9, "swap": 5}}, unified(), InvalidInput, r"memory\+swap limit"),
    ({"memory": {"swappiness": 0}}, unified(), Unsupported, "memory.swappiness"),
    ({"memory": {"disableOOMKiller": True}}, unified(), Unsupported, "memory.oom_control"),
    ({"cpu": {"realtimeRuntime": 5}}, unified(), Unsupported, "cpu.rt_runtime_us"),
    ({"network": {"classID": 5}}, unified(), Unsupported, "net_cls controller"),
    ({"blockIO": {"weight": 50}}, legacy(), Unsupported, "no blkio.bfq.weight"),
    ({"blockIO": {"weight": 50}}, unified(), Unsupported, "neither io.bfq.weight nor io.weight"),
    ({"blockIO": {"leafWeight": 50}}, legacy(), Unsupported, "no blkio.leaf_weight"),
    *(
        (
            {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 50}]}},
            hierarchies,
            Unsupported,
            "no blkio.leaf_weight",
        )
        for hierarchies in (legacy(), unified())
    ),
    ({"unified": {"memory.high": "5"}}, legacy(), Unsupported, "cgroup v2 is not mounted"),
    ({"unified": {"memory.high": "5"}}, hybrid(), Unsupported, "'memory' not available in v2"),
    ({"unified": {"../x.y": "5"}}, unified(), InvalidInput, "form CONTROLLER.PARAMETER"),
    ({"unified": {"memory": "5"}}, unified(), InvalidInput, "form CONTROLLER.PARAMETER"),
]


@pytest.mark.parametrize(("asked", "hierarchies", "error", "words"), REFUSED)
def test_what_the_host_cannot_do_is_named(
    asked: dict[str, Any], hierarchies: list[Hierarchy], error: type[OnggiError], words: str
) -> None:
    with pytest.raises(error, match=words):
        settings(asked, hierarchies, frozenset())


def test_reasons_speak_in_units() -> None:
    assert in_bytes(128 * MIB) == "128 MiB"
    assert in_bytes(3 << 30) == "3 GiB"
    assert in_bytes(1000) == "1000 bytes"
    assert in_bytes(-1) == "no limit"
    assert in_processors(50_000, 100_000).startswith("0.5 processors")
    assert in_processors(1000, 3000).startswith("0.333 processors")
    assert in_processors(200_000, 100_000).startswith("2 processors")
