"""A request: what it refuses, its OCI form, and what admission makes of it on a host."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.errors import InvalidInput, Unsupported
from onggi.linux.cgroup import Hierarchy
from onggi.resources.admission import admit
from onggi.resources.host import Host, control_files, device_numbers
from onggi.resources.request import Request
from onggi.resources.spelling import DeviceLimit, Ulimit
from support.hierarchies import FILES_V1, FILES_V2
from support.runtime_schema import validator

MIB = 1 << 20
SDA = DeviceLimit(path="/dev/sda", value=1000)

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"memory": 6 * MIB - 1}, "minimum memory limit allowed is 6MB"),
    ({"memory": -1}, "minimum memory limit allowed is 6MB"),
    ({"memory": 9 * MIB, "memory_swap": 8 * MIB}, "should be larger than the memory limit"),
    ({"memory": 9 * MIB, "memory_swap": -2}, "should be larger than the memory limit"),
    ({"memory_swap": 9 * MIB}, "always set the memory limit when using a memory-swap"),
    ({"memory_reservation": MIB}, "minimum memory reservation allowed is 6MB"),
    ({"memory": 8 * MIB, "memory_reservation": 9 * MIB}, "less than the memory reservation"),
    ({"memory_swappiness": 101}, "valid memory swappiness range is 0-100"),
    ({"nano_cpus": 10**9, "cpu_period": 100_000}, "cpus and cpu-period cannot both be set"),
    ({"nano_cpus": 10**9, "cpu_quota": 100_000}, "cpus and cpu-quota cannot both be set"),
    ({"cpu_shares": -1}, "invalid CPU shares: -1"),
    ({"cpu_period": 999}, "CPU cfs period can not be less than 1ms"),
    ({"cpu_period": 1_000_001}, "or larger than 1s"),
    ({"cpu_quota": 999}, "CPU cfs quota can not be less than 1ms"),
    ({"cpuset_cpus": "3-1"}, "invalid cpuset range '3-1'"),
    ({"cpuset_mems": "x"}, "invalid cpuset list: 'x'"),
    ({"blkio_weight": 9}, "range of blkio weight is from 10 to 1000"),
    ({"blkio_weight": 1001}, "range of blkio weight is from 10 to 1000"),
    ({"oom_score_adj": 1001}, r"range for oom score adj is \[-1000, 1000\]"),
    ({"shm_size": -1}, "SHM size can not be less than 0"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_no_host_can_grant(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Request(**fields)


def test_nothing_asked_is_nothing_said() -> None:
    assert Request().to_oci() == {}
    assert Request().to_json() == {}
    assert Request(memory=0, cpu_shares=0, nano_cpus=0, blkio_weight=0) == Request()


def test_cpus_are_a_quota_in_every_tenth_of_a_second() -> None:
    assert Request(nano_cpus=500_000_000).to_oci() == {"cpu": {"period": 100_000, "quota": 50_000}}


def test_swap_is_as_much_as_memory_unless_said() -> None:
    assert Request(memory=64 * MIB).to_oci()["memory"]["swap"] == 128 * MIB
    assert Request(memory=64 * MIB, memory_swap=-1).to_oci()["memory"]["swap"] == -1
    assert Request(memory=64 * MIB, memory_swap=64 * MIB).to_oci()["memory"]["swap"] == 64 * MIB


@pytest.mark.parametrize(("limit", "oci"), [(0, -1), (-1, -1), (-5, -1), (1, 1), (100, 100)])
def test_pids_limit(limit: int, oci: int) -> None:
    assert Request(pids_limit=limit).to_oci() == {"pids": {"limit": oci}}


def test_a_swappiness_of_minus_one_is_none() -> None:
    assert Request(memory_swappiness=-1) == Request()
    assert Request(memory_swappiness=0).to_oci() == {"memory": {"swappiness": 0}}


def test_rlimits_the_last_of_a_name_counts() -> None:
    ulimits = (
        Ulimit(name="nofile", soft=1, hard=2),
        Ulimit(name="core", soft=-1, hard=-1),
        Ulimit(name="nofile", soft=1024, hard=2048),
    )
    assert Request(ulimits=ulimits).rlimits() == [
        {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 2048},
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]


def everything() -> Request:
    return Request(
        nano_cpus=1_500_000_000,
        cpu_shares=512,
        cpuset_cpus="0-1",
        cpuset_mems="0",
        memory=64 * MIB,
        memory_reservation=32 * MIB,
        memory_swappiness=0,
        oom_kill_disable=True,
        pids_limit=10,
        blkio_weight=300,
        blkio_weight_device=(DeviceLimit(path="/dev/sda", value=500),),
        device_read_bps=(SDA, DeviceLimit(path="/dev/sdb", value=5)),
        device_write_bps=(SDA,),
        device_read_iops=(SDA,),
        device_write_iops=(SDA,),
        ulimits=(Ulimit(name="nofile", soft=1, hard=2),),
        oom_score_adj=-500,
        shm_size=MIB,
    )


def test_the_oci_form_meets_the_published_schema() -> None:
    request = everything()
    assert request.device_paths() == ["/dev/sda", "/dev/sdb"]
    resources = request.to_oci({"/dev/sda": (8, 0), "/dev/sdb": (8, 16)})
    assert resources["blockIO"]["throttleReadBpsDevice"] == [
        {"major": 8, "minor": 0, "rate": 1000},
        {"major": 8, "minor": 16, "rate": 5},
    ]
    validator().validate(configuration(resources, request.rlimits()))


def configuration(resources: dict[str, Any], rlimits: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "ociVersion": "1.2.0",
        "process": {"cwd": "/", "args": ["true"], "rlimits": rlimits},
        "root": {"path": "rootfs"},
        "linux": {"resources": resources},
    }


def test_the_schema_would_find_a_fault() -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(configuration({"cpu": {"shares": "many"}}, []))


def test_a_record_keeps_it() -> None:
    assert Request.from_json(everything().to_json()) == everything()
    assert everything().to_json()["device_read_iops"] == [{"path": "/dev/sda", "value": 1000}]


@given(
    st.builds(
        Request,
        nano_cpus=st.none() | st.integers(1, 10**12),
        memory=st.none() | st.integers(6 * MIB, 1 << 50),
        pids_limit=st.none() | st.integers(-5, 10**6),
        blkio_weight=st.none() | st.integers(10, 1000),
        oom_kill_disable=st.booleans(),
        memory_swappiness=st.none() | st.integers(0, 100),
    )
)
def test_any_request_survives_its_record(request_: Request) -> None:
    assert Request.from_json(request_.to_json()) == request_


def host(
    controllers: str = "cpu cpuset memory pids blkio",
    files: frozenset[str] = FILES_V1,
    *,
    v2_memory: bool = False,
) -> Host:
    return Host(
        processors=2,
        cpus=frozenset({0, 1}),
        mems=frozenset({0}),
        controllers=frozenset(controllers.split()),
        files=files,
        v2_memory=v2_memory,
    )


def test_a_host_that_has_it_all_changes_nothing() -> None:
    assert admit(everything(), host()) == (everything(), [])


LOST: list[tuple[dict[str, Any], str, dict[str, Any], str]] = [
    ({"memory": 9 * MIB}, "pids", {}, "memory limit capabilities"),
    ({"memory_reservation": 9 * MIB, "memory_swappiness": 0}, "pids", {}, "memory limit"),
    ({"oom_kill_disable": True}, "pids", {}, "memory limit capabilities"),
    ({"memory": 9 * MIB}, "memory", {"memory": 9 * MIB, "memory_swap": -1}, "without swap"),
    ({"cpu_shares": 512}, "pids", {}, "CPU shares"),
    ({"cpu_shares": 1}, "cpu", {"cpu_shares": 2}, "CPU shares of 1 changed to 2"),
    ({"cpu_shares": 10**6}, "cpu", {"cpu_shares": 262144}, "changed to 262144"),
    ({"cpu_quota": 5000, "cpu_period": 9000}, "cpu", {}, "CPU CFS scheduler"),
    ({"cpuset_cpus": "0", "cpuset_mems": "0"}, "cpu", {}, "cpuset"),
    ({"pids_limit": 5}, "cpu", {}, "PIDs limit capabilities"),
    ({"blkio_weight": 500}, "blkio", {}, "Block I/O weight"),
    ({"device_read_bps": (SDA,)}, "blkio", {}, "BPS Block I/O read limit"),
    ({"device_write_iops": (SDA,)}, "blkio", {}, "IOPS Block I/O write limit"),
]


@pytest.mark.parametrize(("asked", "controllers", "left", "warning"), LOST)
def test_what_the_kernel_lacks_is_dropped_with_a_warning(
    asked: dict[str, Any], controllers: str, left: dict[str, Any], warning: str
) -> None:
    admitted, warnings = admit(Request(**asked), host(controllers, files=frozenset()))
    assert admitted == Request(**left)
    assert len(warnings) == 1
    assert warning in warnings[0]


def test_what_v2_lost_is_dropped_with_a_warning() -> None:
    asked = Request(memory=9 * MIB, memory_swappiness=10, oom_kill_disable=True)
    admitted, warnings = admit(asked, host(files=FILES_V2, v2_memory=True))
    assert admitted == Request(memory=9 * MIB)
    assert [warning.split()[5] for warning in warnings] == ["memory", "OomKillDisable;"]


@pytest.mark.parametrize("nano_cpus", [1, 9_999_999, 2_000_000_001, -1])
def test_processors_that_are_not_there(nano_cpus: int) -> None:
    words = "^range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available$"
    with pytest.raises(InvalidInput, match=words):
        admit(Request(nano_cpus=nano_cpus), host())


def test_cpus_without_the_scheduler_for_it() -> None:
    with pytest.raises(Unsupported, match="cpus can not be set"):
        admit(Request(nano_cpus=10**9), host(files=frozenset()))


def test_cpusets_that_are_not_there() -> None:
    with pytest.raises(InvalidInput, match=r"CPUs are not available - requested 0-3, .*: 0-1"):
        admit(Request(cpuset_cpus="0-3"), host())
    with pytest.raises(InvalidInput, match=r"memory nodes are not available - requested 1, .*: 0"):
        admit(Request(cpuset_mems="1"), host())


def test_device_numbers_want_a_block_device(tmp_path: Path) -> None:
    for path, message in (
        (str(tmp_path / "sda"), "no block device at .*sda: No such file"),
        (str(tmp_path), "not a block device"),
        ("/dev/null", "not a block device: /dev/null"),
    ):
        with pytest.raises(InvalidInput, match=message):
            device_numbers([path])


def at(directory: Path, version: int, *controllers: str) -> Hierarchy:
    return Hierarchy(
        version=version, controllers=controllers, name="", mountpoint=str(directory), root="/"
    )


def touch(directory: Path, *files: str) -> None:
    directory.mkdir(exist_ok=True)
    for file in files:
        (directory / file).touch()


def test_control_files_of_v1_are_shown_by_the_root(tmp_path: Path) -> None:
    touch(tmp_path, "cpu.cfs_quota_us", "blkio.bfq.io_service_bytes", "memory.limit_in_bytes")
    mounted = at(tmp_path, 1, "cpu", "memory", "blkio")
    assert control_files([mounted]) == {"cpu.cfs_quota_us", "blkio.bfq.weight"}


def test_control_files_of_v2_are_shown_by_a_child(tmp_path: Path) -> None:
    touch(tmp_path, "memory.swap.max")
    touch(tmp_path / "user.slice")
    touch(tmp_path / "system.slice", "memory.max", "io.stat", "io.max", "io.weight")
    mounted = at(tmp_path, 2, "memory", "io", "pids")
    assert control_files([mounted]) == {"io.max", "io.weight"}


def test_while_no_child_shows_it_most_kernels_are_believed(tmp_path: Path) -> None:
    mounted = at(tmp_path, 2, "memory", "cpu", "io")
    assert control_files([mounted]) == {"memory.swap.max", "cpu.max", "io.max"}
    assert control_files([at(tmp_path, 2, "pids")]) == frozenset()
