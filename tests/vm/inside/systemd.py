"""Control groups that systemd makes: run by tests/vm in a machine whose first process is systemd.

What is expected of ours is expected of runc too.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.oci_runtimes import Json, OciRuntime, lay_out_rootfs
from support.podman import Podman
from support.requirements import requires

pytestmark = requires("root", "busybox", "runc", "cgroup2")

TOP = Path("/sys/fs/cgroup")
MIB = 1 << 20
SLICE = "onggitest.slice"
RESOURCES: Json = {
    "memory": {"limit": 64 * MIB, "swap": 64 * MIB},
    "cpu": {"quota": 25_000, "period": 100_000, "shares": 1024},
    "pids": {"limit": 33},
}
FILES = {
    "memory.max": str(64 * MIB),
    "memory.swap.max": "0",
    "pids.max": "33",
    "cpu.max": "25000 100000",
}
SHOWN = {
    "MemoryMax": str(64 * MIB),
    "TasksMax": "33",
    "CPUQuotaPerSecUSec": "250ms",
    "Slice": SLICE,
    "Delegate": "yes",
    "DevicePolicy": "strict",
}


@pytest.fixture(autouse=True)
def no_slice() -> Iterator[None]:
    yield
    subprocess.run(["systemctl", "stop", SLICE], check=True, capture_output=True, timeout=60)


def in_scope(name: str, **more: Json) -> Callable[[Json], None]:
    def change(config: Json) -> None:
        config["linux"]["cgroupsPath"] = f"{SLICE}:pre:{name}"
        config["linux"]["resources"] |= RESOURCES
        view = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
        config["mounts"].append({**view, "options": ["nosuid", "noexec", "nodev", "ro"]})
        config.update(more)

    return change


def group(name: str) -> Path:
    return TOP / SLICE / f"pre-{name}.scope"


def show(name: str) -> dict[str, str]:
    words = ["systemctl", "show", f"pre-{name}.scope", "-p", ",".join((*SHOWN, "ActiveState"))]
    text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def wait_until_gone(name: str) -> None:
    deadline = time.monotonic() + 60
    while group(name).exists() or show(name)["ActiveState"] not in ("inactive", ""):
        assert time.monotonic() < deadline, show(name)
        time.sleep(0.1)


def values(name: str) -> dict[str, str]:
    return {file: (group(name) / file).read_text().strip() for file in FILES}


def test_a_container_is_a_scope(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "sleep", "1000", change=in_scope(name))
    runtime("--systemd-cgroup", "create", "--bundle", bundle, name)
    assert values(name) == FILES
    shown = show(name)
    assert {key: shown[key] for key in SHOWN} == SHOWN
    pid = runtime.state(name)["pid"]
    assert (group(name) / "cgroup.procs").read_text().split() == [str(pid)]
    runtime("start", name)
    assert runtime("exec", name, "cat", "/sys/fs/cgroup/pids.max").stdout == "33\n"
    runtime("--systemd-cgroup", "update", "--pids-limit", "44", "--memory", "48m", name)
    assert (group(name) / "pids.max").read_text() == "44\n"
    assert show(name)["TasksMax"] == "44"
    assert show(name)["MemoryMax"] == str(48 * MIB)
    subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=120)
    assert (group(name) / "pids.max").read_text() == "44\n"
    runtime("--systemd-cgroup", "delete", "--force", name)
    wait_until_gone(name)


def test_the_numbers_are_there_before_the_program(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    script = (
        "cd /sys/fs/cgroup; for f in " + " ".join(FILES) + '; do read -r x <$f; echo "$f:$x"; done'
    )
    bundle = runtime.bundle(name, "sh", "-c", script, change=in_scope(name))
    done = runtime("--systemd-cgroup", "run", "--bundle", bundle, name)
    assert dict(line.split(":") for line in done.stdout.splitlines()) == FILES
    wait_until_gone(name)


def test_devices_stay_denied_when_systemd_writes_anew(ours: OciRuntime) -> None:
    log: Json = {"path": "/dev/log-of-the-kernel", "type": "c", "major": 1, "minor": 11}
    name = ours.identifier()

    def change(config: Json) -> None:
        in_scope(name)(config)
        config["linux"]["devices"] = [log]

    bundle = ours.bundle(name, "sleep", "1000", change=change)
    ours("--systemd-cgroup", "create", "--bundle", bundle, name)

    def opens() -> bool:
        return ours.attempt("exec", name, "sh", "-c", f": >{log['path']}").returncode == 0

    assert not opens()
    subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=120)
    assert not opens()
    rules = bundle / "rules.json"
    allow = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"}
    rules.write_text(json.dumps({"devices": [allow]}))
    ours("--systemd-cgroup", "update", "-r", rules, name)
    assert opens()
    subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=120)
    assert opens()


def test_a_program_that_is_not_there_leaves_no_scope(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "/no/such", change=in_scope(name))
    done = runtime.attempt("--systemd-cgroup", "run", "--bundle", bundle, name)
    assert done.returncode == 1
    wait_until_gone(name)
    assert runtime.attempt("state", name).returncode == 1


def test_a_property_that_systemd_refuses_is_told(ours: OciRuntime) -> None:
    name = ours.identifier()
    annotations: Json = {"org.systemd.property.NoSuchProperty": "true"}
    bundle = ours.bundle(name, "true", change=in_scope(name, annotations=annotations))
    done = ours.attempt("--systemd-cgroup", "create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert done.stderr.count("level=error") == 1
    assert "NoSuchProperty" in done.stderr
    wait_until_gone(name)


def test_a_property_of_an_annotation(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    annotations: Json = {"org.systemd.property.TimeoutStopSec": "7"}
    bundle = runtime.bundle(name, "sleep", "1000", change=in_scope(name, annotations=annotations))
    runtime("--systemd-cgroup", "create", "--bundle", bundle, name)
    words = ["systemctl", "show", f"pre-{name}.scope", "-p", "TimeoutStopUSec"]
    text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    assert text == "TimeoutStopUSec=7s\n"


def test_another_path_is_refused(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "true")
    done = runtime.attempt("--systemd-cgroup", "create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert 'expected cgroupsPath to be of format \\"slice:prefix:name\\"' in done.stderr


@requires("podman")
def test_podman_asks_for_a_scope(root_dir: Path) -> None:
    lay_out_rootfs(root_dir / "rootfs")
    podman = Podman(root_dir, cgroup_manager="systemd")
    limits = ("--memory", "64m", "--memory-swap", "64m", "--pids-limit", "33", "--cpus", "0.25")
    made = ("--rootfs", root_dir / "rootfs", "sleep", "1000")
    below = ("--network", "none", "--cgroup-parent", SLICE)
    identity = podman("run", "--detach", *below, *limits, *made).strip()
    try:
        pid = podman("inspect", "--format", "{{.State.Pid}}", identity).strip()
        kept = Path("/proc", pid, "cgroup").read_text().removeprefix("0::").strip()
        assert f"/{SLICE}/libpod-{identity}.scope" in kept
        scope = TOP / SLICE / f"libpod-{identity}.scope"
        assert {file: (scope / file).read_text().strip() for file in FILES} == FILES
        assert podman("exec", identity, "cat", "/proc/self/cgroup") == "0::/\n"
    finally:
        podman("rm", "--force", "--time", "0", identity)
    wait_for_end_of(scope)


def wait_for_end_of(scope: Path) -> None:
    deadline = time.monotonic() + 60
    while scope.exists():
        assert time.monotonic() < deadline, list(scope.iterdir())
        time.sleep(0.1)


def units() -> set[str]:
    words = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--type=scope,slice"]
    text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    return {line.split()[0] for line in text.splitlines()}


@pytest.mark.parametrize(
    "path",
    [
        f"{SLICE}:pre:a\nb",
        f'{SLICE}:pre:"a"',
        f"{SLICE}:pre:{'a' * 300}",
        f"{SLICE}:$(reboot):a",
        f"{SLICE}:..:../../a",
        "--help:pre:a",
        ":--help:",
    ],
)
def test_a_name_that_no_scope_may_have_makes_nothing(ours: OciRuntime, path: str) -> None:
    def change(config: Json) -> None:
        config["linux"]["cgroupsPath"] = path

    name = ours.identifier()
    bundle = ours.bundle(name, "true", change=change)
    before = units()
    done = ours.attempt("--systemd-cgroup", "create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert done.stderr.count("level=error") == 1, done.stderr
    assert not (ours.root / name).exists()
    assert units() <= before


@pytest.mark.parametrize("slice_", [SLICE, "another.slice"])
def test_a_scope_of_that_name_stays_whose_it_is(ours: OciRuntime, slice_: str) -> None:
    name = ours.identifier()
    words = ["systemd-run", "--scope", f"--slice={slice_}", f"--unit=pre-{name}.scope"]
    with subprocess.Popen([*words, "sleep", "1000"]) as owner:
        try:
            deadline = time.monotonic() + 60
            while show(name)["ActiveState"] != "active":
                assert time.monotonic() < deadline
                time.sleep(0.1)
            bundle = ours.bundle(name, "sleep", "1000", change=in_scope(name))
            done = ours.attempt("--systemd-cgroup", "create", "--bundle", bundle, name)
            assert done.returncode == 1
            ours("delete", "--force", name)
            assert owner.poll() is None
            assert show(name)["ActiveState"] == "active"
            assert show(name)["TasksMax"] != "33"
        finally:
            owner.kill()
    wait_until_gone(name)
