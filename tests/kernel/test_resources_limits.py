"""Limits, in force: each is asked for, set, and felt by a real process."""

import errno
import json
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onggi.errors import InvalidInput, Unsupported
from onggi.linux import bpf, cgroup
from onggi.resources import apply
from onggi.resources.admission import admit
from onggi.resources.device_program import device_program
from onggi.resources.devices import DEFAULT_RULES, plan_v1
from onggi.resources.host import device_numbers, read_host
from onggi.resources.layout import Enable, Inherit, Make, cgroup_paths, plan_directories
from onggi.resources.measure import measure, oom_kills
from onggi.resources.request import Request
from onggi.resources.setting import Setting
from onggi.resources.settings import settings
from onggi.resources.spelling import DeviceLimit
from support.requirements import requires
from support.threats import INSIDE, withstands

pytestmark = requires("root")

MIB = 1 << 20


class Jar:
    """The cgroups of one container, below a parent that nobody else has."""

    def __init__(self, parent: str) -> None:
        self.hierarchies = cgroup.hierarchies()
        self.parents = cgroup_paths(parent, "", self.hierarchies, {})
        self.paths = cgroup_paths(parent, "jar", self.hierarchies, {})
        self.host = read_host(self.hierarchies)
        self.files = self.host.files

    def set(self, request: Request) -> None:
        admitted, warnings = admit(request, self.host)
        assert not warnings
        self.set_oci(admitted.to_oci(device_numbers(admitted.device_paths())))

    def set_oci(self, resources: dict[str, Any]) -> None:
        self.write(settings(resources, self.hierarchies, self.files))

    def write(self, planned: list[Setting]) -> None:
        prepare(plan_directories(self.paths, planned))
        for setting in planned:
            apply.write(setting, self.path_of(setting.hierarchy))

    def path_of(self, hierarchy: cgroup.Hierarchy) -> str:
        return next(path for each, path in self.paths if each is hierarchy)

    def with_controller(self, name: str) -> str:
        return next(path for each, path in self.paths if name in each.controllers)

    def read(self, file: str) -> str:
        return cgroup.read(f"{self.with_controller(file.split('.')[0])}/{file}")

    def run(self, work: Callable[[], Any]) -> tuple[int, Any]:
        """Run `work` inside; return how it ended, as from os.waitpid, and what it returned."""
        return run_in([path for _, path in self.paths], work)


def prepare(plan: list[Make | Enable | Inherit]) -> None:
    for step in plan:
        if isinstance(step, Enable):
            apply.enable(step)
        elif isinstance(step, Inherit):
            apply.inherit(step)
        else:
            apply.make(step)


def run_in(directories: list[str], work: Callable[[], Any]) -> tuple[int, Any]:
    placed_read, placed_write = os.pipe()
    answer_read, answer_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.read(placed_read, 1)
            os.write(answer_write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(answer_write)
    for directory in directories:
        cgroup.write(f"{directory}/cgroup.procs", pid)
    os.write(placed_write, b"!")
    with open(answer_read, "rb") as answer:
        text = answer.read()
    status = os.waitpid(pid, 0)[1]
    os.close(placed_read)
    os.close(placed_write)
    return status, json.loads(text) if text else None


@pytest.fixture
def jar() -> Iterator[Jar]:
    made = Jar(f"/onggi-test-{secrets.token_hex(4)}")
    yield made
    for _, parent in made.parents:
        cgroup.remove(parent)


def burn(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@requires("cgroup-cpu")
def test_a_tenth_of_a_processor(jar: Jar) -> None:
    jar.set(Request(nano_cpus=100_000_000))
    jar.run(lambda: burn(0.6))
    usage = measure(jar.paths)
    assert usage.cpu_throttled_periods is not None
    assert usage.cpu_throttled_periods >= 2
    assert usage.cpu_throttled_usec is not None
    assert usage.cpu_throttled_usec > 200_000
    assert usage.cpu_usec is None or usage.cpu_usec < 200_000


@requires("cgroup-memory")
@withstands("exhaustion", "processes and memory, as far as asked for", by=INSIDE)
def test_memory_beyond_the_limit_is_death_by_the_oom_killer(jar: Jar) -> None:
    jar.set(Request(memory=16 * MIB, memory_swap=16 * MIB))
    assert oom_kills(path for _, path in jar.paths) == 0
    status, _ = jar.run(lambda: len(bytearray(64 * MIB)))
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert oom_kills(path for _, path in jar.paths) == 1
    usage = measure(jar.paths)
    assert usage.memory_limit_bytes == 16 * MIB
    assert usage.memory_peak_bytes is None or usage.memory_peak_bytes <= 16 * MIB


@requires("cgroup-memory")
def test_a_kill_in_a_cgroup_of_the_containers_own_is_counted(jar: Jar) -> None:
    jar.set(Request(memory=16 * MIB, memory_swap=16 * MIB))
    inner = jar.with_controller("memory") + "/inner"
    cgroup.make(inner)
    status, _ = run_in([inner], lambda: len(bytearray(64 * MIB)))
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert oom_kills(path for _, path in jar.paths) == 1


@requires("cgroup-memory")
def test_a_kill_that_was_not_for_memory_is_not_counted(jar: Jar) -> None:
    jar.set(Request(memory=64 * MIB))
    status, _ = jar.run(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert oom_kills(path for _, path in jar.paths) == 0


def fork_until_refused() -> list[int | None]:
    """Start processes that wait, until the kernel says no; return how many and the error."""
    started: list[int] = []
    reader, writer = os.pipe()
    try:
        while len(started) < 20:
            pid = os.fork()
            if pid == 0:
                os.close(writer)
                os.read(reader, 1)
                os._exit(0)
            started.append(pid)
    except BlockingIOError as error:
        return [len(started), error.errno]
    finally:
        os.close(writer)
        for pid in started:
            os.waitpid(pid, 0)
    return [len(started), 0]


@requires("cgroup-pids")
@withstands("exhaustion", "processes and memory, as far as asked for", by=INSIDE)
def test_the_fourth_process_of_three_is_refused(jar: Jar) -> None:
    jar.set(Request(pids_limit=3))
    assert jar.run(fork_until_refused) == (0, [2, errno.EAGAIN])
    assert measure(jar.paths).pids_limit == 3


@requires("cgroup-pids")
def test_unlimited_pids(jar: Jar) -> None:
    jar.set(Request(pids_limit=-1))
    assert jar.run(fork_until_refused) == (0, [20, 0])
    assert measure(jar.paths).pids_limit is None


def processors() -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list"))


@requires("cgroup-cpuset")
def test_one_processor_and_no_other(jar: Jar) -> None:
    last = str(max(jar.host.cpus))
    jar.set(Request(cpuset_cpus=last, cpuset_mems="0"))
    assert jar.run(processors) == (0, last)


def test_without_limits_a_process_can_join_everywhere(jar: Jar) -> None:
    jar.set(Request())
    _, text = jar.run(lambda: Path("/proc/self/cgroup").read_text())
    assert all(line.endswith("/jar") for line in text.splitlines() if joined(line, jar))


def joined(line: str, jar: Jar) -> bool:
    """Tell whether a line of /proc/PID/cgroup is of a hierarchy that is mounted."""
    return line.split(":")[1].split(",")[0] in {each.key for each in jar.hierarchies}


@requires("cgroup-memory")
def test_all_numbers_of_memory_are_taken(jar: Jar) -> None:
    asked = Request(memory=64 * MIB, memory_reservation=32 * MIB)
    jar.set(asked)
    planned = settings(asked.to_oci(), jar.hierarchies, jar.files)
    assert len(planned) == 3
    assert {each.file: jar.read(each.file) for each in planned} == {
        each.file: each.value for each in planned
    }
    jar.set_oci({"memory": {"limit": -1, "swap": -1}})
    assert measure(jar.paths).memory_limit_bytes is None


@requires("cgroup-cpu")
def test_shares_and_idleness_are_taken(jar: Jar) -> None:
    jar.set(Request(cpu_shares=512, cpu_period=50_000, cpu_quota=25_000))
    for setting in settings({"cpu": {"shares": 512}}, jar.hierarchies, jar.files):
        assert jar.read(setting.file) == setting.value
    jar.set_oci({"cpu": {"idle": 1}})
    assert jar.read("cpu.idle") == "1"


def disk() -> str:
    """Name a whole disk that has a device file."""
    for name in sorted(os.listdir("/sys/block")):
        if not name.startswith(("loop", "ram", "zram")) and os.path.exists(f"/dev/{name}"):
            return f"/dev/{name}"
    pytest.skip("needs a disk in /dev")


@requires("cgroup-blkio")
def test_rates_of_a_disk_are_taken(jar: Jar) -> None:
    path = disk()
    rate = (DeviceLimit(path=path, value=MIB),)
    jar.set(
        Request(
            device_read_bps=rate,
            device_write_bps=rate,
            device_read_iops=rate,
            device_write_iops=rate,
        )
    )
    major, minor = device_numbers([path])[path]
    for way in ("read", "write"):
        for unit in ("bps", "iops"):
            file = f"blkio.throttle.{way}_{unit}_device"
            assert jar.read(file) == f"{major}:{minor} {MIB}"


@requires("cgroup-blkio")
def test_a_weight_for_disks_is_taken(jar: Jar) -> None:
    if "blkio.bfq.weight" not in jar.files:
        pytest.skip("needs the BFQ scheduler")
    jar.set(Request(blkio_weight=300))
    assert "300" in jar.read("blkio.bfq.weight")


def try_devices() -> dict[str, int]:
    """Use device files; return the error number of each attempt, 0 for success.

    In /dev, since what holds other files is often mounted nodev.
    """
    with tempfile.TemporaryDirectory(prefix="onggi-test-", dir="/dev") as folder:
        ram, memory = f"{folder}/ram", f"{folder}/mem"
        return {
            "null": attempt(lambda: os.close(os.open("/dev/null", os.O_RDWR))),
            "make a block device": attempt(lambda: os.mknod(ram, 0o60600, os.makedev(1, 0))),
            "open it": attempt(lambda: os.close(os.open(ram, os.O_RDONLY))),
            "make mem": attempt(lambda: os.mknod(memory, 0o20600, os.makedev(1, 1))),
            "read mem": attempt(lambda: os.close(os.open(memory, os.O_RDONLY))),
            "kmsg": attempt(lambda: os.close(os.open("/dev/kmsg", os.O_RDONLY))),
        }


def attempt(work: Callable[[], None]) -> int:
    try:
        work()
    except OSError as error:
        return error.errno or -1
    return 0


AS_BY_DEFAULT = {
    "null": 0,
    "make a block device": 0,
    "open it": errno.EPERM,
    "make mem": 0,
    "read mem": errno.EPERM,
    "kmsg": errno.EPERM,
}


@requires("cgroup-devices")
@withstands("devices", "/dev/mem made by mknod and opened", by=INSIDE)
def test_the_default_device_rules_in_v1(jar: Jar) -> None:
    hierarchy = next(each for each in jar.hierarchies if "devices" in each.controllers)
    jar.write(plan_v1(DEFAULT_RULES, hierarchy))
    assert jar.run(try_devices) == (0, AS_BY_DEFAULT)


def in_v2(jar: Jar, rules: list[dict[str, Any]], work: Callable[[], Any]) -> Any:
    """Run `work` in a v2 cgroup that has these device rules as its program."""
    prepare(plan_directories(jar.paths, ()))
    path = next((path for each, path in jar.paths if each.version == 2), None)
    if path is None:
        pytest.skip("needs cgroup v2")
    program = bpf.load_cgroup_device_program(device_program(rules))
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        bpf.attach_cgroup_device(directory, program)
        return run_in([path], work)[1]
    finally:
        os.close(directory)
        os.close(program)


@withstands("devices", "/dev/mem made by mknod and opened", by=INSIDE)
def test_the_default_device_rules_in_v2(jar: Jar) -> None:
    assert in_v2(jar, list(DEFAULT_RULES), try_devices) == AS_BY_DEFAULT


def open_null() -> dict[str, int]:
    return {
        "r": attempt(lambda: os.close(os.open("/dev/null", os.O_RDONLY))),
        "w": attempt(lambda: os.close(os.open("/dev/null", os.O_WRONLY))),
        "rw": attempt(lambda: os.close(os.open("/dev/null", os.O_RDWR))),
    }


def test_each_access_is_decided_by_itself_in_v2(jar: Jar) -> None:
    rules = [
        {"allow": True, "type": "c", "major": 1, "access": "rw"},
        {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "w"},
    ]
    assert in_v2(jar, rules, open_null) == {"r": 0, "w": errno.EPERM, "rw": errno.EPERM}


def test_the_verifier_takes_long_lists(jar: Jar) -> None:
    rules = [
        {"allow": number % 3 > 0, "type": "cb"[number % 2], "major": number, "access": "rw"}
        for number in range(1, 400)
    ]
    assert in_v2(jar, [*rules, *DEFAULT_RULES[3:]], open_null) == {"r": 0, "w": 0, "rw": 0}


def test_a_file_that_the_kernel_lacks_is_named(jar: Jar) -> None:
    prepare(plan_directories(jar.paths, ()))
    hierarchy, path = jar.paths[0]
    absent = Setting(hierarchy=hierarchy, file="cpu.moon", value="1", reason="")
    with pytest.raises(Unsupported, match=r"this kernel has no cpu\.moon in /"):
        apply.write(absent, path)
    missing_is_fine = Setting(
        hierarchy=hierarchy, file="cpu.moon", value="max", reason="", optional=True
    )
    apply.write(missing_is_fine, path)


@requires("cgroup-blkio")
def test_what_the_kernel_refuses_is_told_in_one_line(jar: Jar) -> None:
    nowhere = {"throttleReadBpsDevice": [{"major": 4000, "minor": 9, "rate": MIB}]}
    with pytest.raises(InvalidInput, match="the kernel refuses '4000:9 1048576' for blkio"):
        jar.set_oci({"blockIO": nowhere})


def test_many_at_once_below_a_new_parent() -> None:
    parent = f"/onggi-test-{secrets.token_hex(4)}"
    hierarchies = cgroup.hierarchies()
    pids = [start_one(parent, f"jar{number}", hierarchies) for number in range(8)]
    try:
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * len(pids)
    finally:
        for _, path in cgroup_paths(parent, "", hierarchies, {}):
            cgroup.remove(path)


def start_one(parent: str, name: str, hierarchies: list[cgroup.Hierarchy]) -> int:
    """Fork a process that makes its own cgroups and joins them."""
    pid = os.fork()
    if pid:
        return pid
    try:
        paths = cgroup_paths(parent, name, hierarchies, {})
        prepare(plan_directories(paths, ()))
        for _, path in paths:
            cgroup.write(f"{path}/cgroup.procs", os.getpid())
        os._exit(0)
    finally:
        os._exit(1)
