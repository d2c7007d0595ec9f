"""What a container may use: set at its creation, changed by `update`, told by `events`."""

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from referencing.jsonschema import DRAFT7

from onggi.linux import cgroup
from support.oci_runtimes import Json, OciRuntime
from support.patience import SLOWER
from support.requirements import requires
from support.specifications import specification

pytestmark = requires("root", "busybox", "cgroup-memory", "cgroup-cpu", "cgroup-pids")

MIB = 1 << 20


def limited(config: Json) -> None:
    config["linux"]["resources"] |= {
        "memory": {"limit": 64 * MIB, "swap": 128 * MIB},
        "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"},
        "pids": {"limit": 33},
    }


@pytest.fixture
def running(runtime: OciRuntime) -> str:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "sleep", "100", change=limited))
    runtime("start", name)
    return name


# What is asked for -> the file of v1, and that of v2.
FILES = {
    "memory": ("memory/{}/memory.limit_in_bytes", "memory.max"),
    "memory and swap": ("memory/{}/memory.memsw.limit_in_bytes", "memory.swap.max"),
    "shares": ("cpu/{}/cpu.shares", "cpu.weight"),
    "quota": ("cpu/{}/cpu.cfs_quota_us", "cpu.max"),
    "period": ("cpu/{}/cpu.cfs_period_us", "cpu.max"),
    "processors": ("cpuset/{}/cpuset.cpus", "cpuset.cpus"),
    "processes": ("pids/{}/pids.max", "pids.max"),
}
# Weights of v2 that shares of v1 become: by runc until 1.3 along a line from 2 to 262144 shares,
# and since, as by us, along a curve where 1024 are 100.
SHARES = {"20": "512", "59": "512", "10": "256", "35": "256"}


def value(name: str, what: str) -> str:
    """Read a limit of a container as v1 says it, wherever it is."""
    top, (first, second) = Path("/sys/fs/cgroup"), FILES[what]
    if not (top / "onggi" / name).exists():
        return (top / first.format(f"onggi/{name}")).read_text().strip()
    said = (top / "onggi" / name / second).read_text().strip()
    if what == "memory and swap":
        return str(int(value(name, "memory")) + int(said))
    if what in ("quota", "period"):
        return said.split()[what == "period"]
    return SHARES[said] if what == "shares" else said


@requires("cgroup-cpuset")
def test_limits_are_set_before_it_starts(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "true", change=limited))
    assert value(name, "memory") == str(64 * MIB)
    assert value(name, "memory and swap") == str(128 * MIB)
    assert value(name, "shares") == "512"
    assert value(name, "quota") == "50000"
    assert value(name, "processors") == "0"
    assert value(name, "processes") == "33"


def test_update_by_options(runtime: OciRuntime, running: str) -> None:
    runtime("update", "--memory", "80m", "--memory-swap", "160m", "--pids-limit", "44", running)
    assert value(running, "memory") == str(80 * MIB)
    assert value(running, "memory and swap") == str(160 * MIB)
    assert value(running, "processes") == "44"
    runtime("update", "--cpu-quota", "20000", "--cpu-share", "256", running)
    assert value(running, "quota") == "20000"
    assert value(running, "period") == "100000"
    assert value(running, "shares") == "256"


def test_memory_goes_up_and_down(runtime: OciRuntime, running: str) -> None:
    for memory, swap in ((256, 512), (32, 48), (100, 100), (64, -1), (40, 80)):
        spelled = str(swap) if swap < 0 else f"{swap}m"
        runtime("update", "--memory", f"{memory}m", "--memory-swap", spelled, running)
        assert value(running, "memory") == str(memory * MIB)


def test_update_from_standard_input(runtime: OciRuntime, running: str, root_dir: Path) -> None:
    file = root_dir / "resources.json"
    file.write_text(json.dumps({"pids": {"limit": 55}, "memory": {"limit": 0}, "cpu": {}}))
    with file.open() as opened:
        runtime("update", "--resources", "-", running, stdin=opened)
    assert value(running, "processes") == "55"
    assert value(running, "memory") == str(64 * MIB)
    file.write_text(json.dumps({"pids": {"limit": 56}}))
    runtime("update", "-r", file, running)
    assert value(running, "processes") == "56"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--memory", "x"], "invalid value for memory: "),
        (["--cpu-quota", "x"], "invalid value for cpu-quota: "),
        (["--resources", "/nowhere"], "/nowhere"),
    ],
    ids=str,
)
def test_update_that_makes_no_sense(
    runtime: OciRuntime, running: str, words: list[str], said: str
) -> None:
    done = runtime.attempt("update", *words, running)
    assert done.returncode == 1
    assert 'level=error msg="' in done.stderr
    assert said in done.stderr


def test_update_is_for_the_living(runtime: OciRuntime, running: str) -> None:
    runtime("kill", running, "KILL")
    runtime.wait_until(running, "stopped")
    assert runtime.attempt("update", "--memory", "80m", running).returncode == 1


def test_stats(runtime: OciRuntime, running: str) -> None:
    event = json.loads(runtime("events", "--stats", running).stdout)
    assert (event["type"], event["id"]) == ("stats", running)
    data = event["data"]
    assert data["memory"]["usage"]["limit"] == 64 * MIB
    assert 0 < data["memory"]["usage"]["usage"] < 64 * MIB
    assert data["memory"]["raw"]["pgfault"] > 0
    assert "inactive_file" in data["memory"]["raw"]
    assert (data["pids"]["current"], data["pids"]["limit"]) == (1, 33)
    assert data["cpu"]["usage"]["total"] > 0


def test_stats_of_each_processor(runtime: OciRuntime, running: str) -> None:
    def counted() -> list[int]:
        files = Path("/sys/fs/cgroup").glob(f"*/onggi/{running}/cpuacct.usage_percpu")
        return [int(word) for file in list(files)[:1] for word in file.read_text().split()]

    before = counted()
    usage = json.loads(runtime("events", "--stats", running).stdout)["data"]["cpu"]["usage"]
    told = usage.get("percpu", [])  # version 2 counts no such thing
    assert len(told) == len(before)
    assert all(one <= two <= three for one, two, three in zip(before, told, counted(), strict=True))
    assert bool(before) == (sum(told) > 0)


def test_stats_tell_how_often_memory_met_its_limit(runtime: OciRuntime, running: str) -> None:
    def refusals() -> int:
        usage = json.loads(runtime("events", "--stats", running).stdout)["data"]["memory"]["usage"]
        count: int = usage["failcnt"]
        return count

    assert refusals() == 0
    assert runtime.attempt("exec", running, "busybox", "tail", "/dev/zero").returncode == 137
    assert refusals() > 0


def test_events_go_on_until_the_end(runtime: OciRuntime, running: str) -> None:
    line = runtime.line("events", "--interval", "100ms", running)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as told:
        assert told.stdout is not None
        first, second = (json.loads(told.stdout.readline()) for _ in range(2))
        assert (first["type"], second["type"]) == ("stats", "stats")
        runtime("delete", "--force", running)
        told.stdout.read()
        assert told.wait(timeout=10 * SLOWER) in (0, 1)


def test_out_of_memory_is_told(ours: OciRuntime) -> None:
    name = ours.identifier()
    script = "while [ ! -e /tmp/go ]; do busybox usleep 20000; done; busybox tail /dev/zero"

    def change(config: Json) -> None:
        config["linux"]["resources"]["memory"] = {"limit": 16 * MIB, "swap": 16 * MIB}

    bundle = ours.bundle(name, "sh", "-c", script + "; sleep 100", change=change)
    ours.create(name, bundle)
    ours("start", name)
    line = ours.line("events", "--interval", "100ms", name)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as told:
        assert told.stdout is not None
        told.stdout.readline()  # what is used, which is told once it counts
        (bundle / "rootfs/tmp/go").touch()
        events = map(json.loads, told.stdout)
        assert {"type": "oom", "id": name} in events
        ours("delete", "--force", name)
        told.stdout.read()
        assert told.wait(timeout=10 * SLOWER) == 0


@pytest.mark.parametrize(
    "resources",
    [
        {"memory": {"limit": 64 * MIB, "swap": 1}},
        {"cpu": {"cpus": "4095"}},
        {"unified": {"nope": "1"}},
        {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]},
    ],
    ids=lambda resources: next(iter(resources)),
)
def test_what_cannot_be_granted(runtime: OciRuntime, resources: Json) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(
        name, "true", change=lambda config: config["linux"]["resources"].update(resources)
    )
    done = runtime.attempt("create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert done.stderr.count("level=error") == 1
    assert not runtime.remains(name)


def test_a_device_rule_that_means_nothing(ours: OciRuntime) -> None:
    name = ours.identifier()
    rule = {"allow": True, "type": "c", "access": "xyz"}
    bundle = ours.bundle(
        name, "true", change=lambda config: config["linux"]["resources"].update(devices=[rule])
    )
    done = ours.attempt("create", "--bundle", bundle, name)
    assert (done.returncode, "invalid device access" in done.stderr) == (1, True)


KERNEL_LOG: Json = {"path": "/dev/log-of-the-kernel", "type": "c", "major": 1, "minor": 11}


def test_device_rules_of_a_running_container(ours: OciRuntime, root_dir: Path) -> None:
    """Where runc warns of nothing and changes nothing; crun changes them."""
    name = ours.identifier()
    bundle = ours.bundle(
        name, "sleep", "100", change=lambda config: config["linux"].update(devices=[KERNEL_LOG])
    )
    ours.create(name, bundle)
    file = root_dir / "resources.json"

    def update(**rule: object) -> None:
        file.write_text(json.dumps({"devices": [{"allow": True, "type": "c", **rule}]}))
        ours("update", "-r", file, name)

    def opens(path: str) -> bool:
        done = ours.attempt("exec", name, "sh", "-c", f": >{path}")
        assert done.returncode in (0, 1)
        return done.returncode == 0

    assert not opens(KERNEL_LOG["path"])
    update(major=1, minor=11, access="w")
    assert opens(KERNEL_LOG["path"])
    ours("update", "--pids-limit", "44", name)
    assert opens(KERNEL_LOG["path"])
    update(major=1, minor=12, access="w")
    assert not opens(KERNEL_LOG["path"])
    assert opens("/dev/null")


def test_a_cgroup_that_is_in_use_is_refused(ours: OciRuntime) -> None:
    first, second = ours.identifier(), ours.identifier()
    ours.create(first, ours.bundle(first, "true"))

    def change(config: Json) -> None:
        config["linux"]["cgroupsPath"] = f"/onggi/{first}"

    bundle = ours.bundle(second, "true", change=change)
    done = ours.attempt("create", "--bundle", bundle, second)
    assert done.returncode == 1
    assert "cgroup is not empty" in done.stderr
    assert ours.state(first)["status"] == "created"


def test_where_there_is_version_2_alone(runtime: OciRuntime, running: str) -> None:
    group = Path("/sys/fs/cgroup/onggi") / running
    if not group.exists():
        pytest.skip("this host has v1: make test-vm tries another")

    def values(*files: str) -> list[str]:
        return [(group / file).read_text().strip() for file in files]

    files = ("memory.max", "memory.swap.max", "pids.max", "cpu.max", "cpuset.cpus")
    assert values(*files) == [str(64 * MIB), str(64 * MIB), "33", "50000 100000", "0"]
    words = ["--memory", "80m", "--memory-swap", "100m", "--pids-limit", "44"]
    runtime("update", *words, "--cpu-quota", "20000", running)
    assert values(*files) == [str(80 * MIB), str(20 * MIB), "44", "20000 100000", "0"]
    event = json.loads(runtime("events", "--stats", running).stdout)
    assert event["data"]["memory"]["usage"]["limit"] == 80 * MIB
    assert event["data"]["pids"]["limit"] == 44


def test_features_follow_the_schema(runtime: OciRuntime) -> None:
    said = json.loads(runtime("features").stdout)
    names = ("features-schema.json", "features-linux.json", "defs.json", "defs-linux.json")
    documents = {
        name: json.loads(specification(f"oci-runtime/{name}").read_text()) for name in names
    }
    registry: referencing.Registry[Any] = referencing.Registry().with_resources(
        (name, DRAFT7.create_resource(document)) for name, document in documents.items()
    )
    jsonschema.Draft7Validator({"$ref": names[0]}, registry=registry).validate(said)
    assert set(said["hooks"]) >= {"createRuntime", "poststop"}
    assert {"mount", "pid", "user"} <= set(said["linux"]["namespaces"])
    assert "SCMP_ACT_NOTIFY" in said["linux"]["seccomp"]["actions"]
    assert {"bind", "rro", "private"} <= set(said["mountOptions"])


def test_no_control_groups_where_none_are_wanted(ours: OciRuntime) -> None:  # runc always has some
    name = ours.identifier()
    bundle = ours.bundle(name, "sleep", "100")
    done = ours("--cgroup-manager", "disabled", "run", "--detach", "--bundle", bundle, name)
    assert "device rules do not hold" in done.stderr
    pid = ours.state(name)["pid"]
    assert cgroup.memberships(pid) == cgroup.memberships()
    assert json.loads(ours("ps", "--format", "json", name).stdout) == [pid]
    ours("delete", "--force", name)
    assert ours.remains(name) == []
