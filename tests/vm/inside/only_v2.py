"""What holds where cgroup v2 is alone: run by tests/vm in a machine that has nothing else.

Nothing is passed on there to begin with: the first container finds an empty subtree_control, as on
a host without systemd.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import cgroup
from support.box import Box, cgroup_file, until
from support.oci_runtimes import Json, OciRuntime, without
from support.ordinary import UID, ordinary_user
from support.ordinary_runtimes import UserRuntime
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox", "cgroup2")

TOP = Path("/sys/fs/cgroup")
LIMITS = [
    *("--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "1", "--pids-limit", "50"),
    *("--memory", "64m", "--memory-swap", "96m", "--memory-reservation", "32m"),
]
FILES = {
    "cpu.max": "50000 100000",
    "cpu.weight": "59",  # of 512 shares, where 1024 make 100
    "cpuset.cpus": "1",
    "pids.max": "50",
    "memory.max": str(64 << 20),
    "memory.swap.max": str(32 << 20),
    "memory.low": str(32 << 20),
}


@pytest.fixture
def parent() -> Iterator[Path]:
    """Give a cgroup of the test's own, to be --cgroup-parent."""
    path = TOP / f"onggi-test-{secrets.token_hex(4)}"
    path.mkdir()
    yield path
    cgroup.clear(str(path))


def test_there_is_nothing_but_v2() -> None:
    assert [one.version for one in cgroup.hierarchies()] == [2]


def test_the_numbers_are_in_the_files_before_the_program_is(box: Box) -> None:
    script = "cd /sys/fs/cgroup; grep . " + " ".join(FILES)
    seen = dict(line.split(":", 1) for line in box.sh(script, *LIMITS).splitlines())
    assert seen == FILES


def test_what_is_seen_inside_is_its_own_cgroup_and_read_only(box: Box) -> None:
    script = "cat /proc/self/cgroup; cd /sys/fs/cgroup; mkdir x; for f in *; do echo 1 >$f; done"
    seen = box.sh(f"({script}) 2>&1; :").splitlines()
    assert seen[0] == "0::/"
    assert len(seen) > 20
    assert all("Read-only file system" in line for line in seen[1:])


def test_the_oom_killer_is_told_of(box: Box) -> None:
    greedy = ("sh", "-c", "x=x; while :; do x=$x$x; done")
    identity = box.up("--memory", "16m", "--memory-swap", "16m", command=greedy)
    assert box("wait", identity).stdout == "137\n"
    assert box.see(identity, ".State.OOMKilled") == "true"


def test_a_kill_for_memory_is_no_end_by_signal(box: Box) -> None:
    identity = box.up()
    box("kill", identity)
    box("wait", identity)
    assert box.see(identity, ".State.OOMKilled") == "false"


def test_too_many_processes_are_refused(box: Box) -> None:
    script = "for i in 1 2 3 4 5 6; do sleep 9 & done 2>&1; :"
    assert "can't fork" in box.sh(f"({script}) 2>&1; :", "--pids-limit", "4")


def test_devices_are_kept_away_by_a_program(box: Box) -> None:
    script = """
        cd /tmp; mknod disk b 7 0; mknod memory c 1 1; mknod zero c 1 5
        for f in disk memory zero; do head -c 1 $f | wc -c; done 2>&1"""
    seen = box.sh(script, "--tmpfs", "/tmp:dev").splitlines()
    assert seen.count("0") == 2
    assert seen.count("1") == 1
    assert sum("Operation not permitted" in line for line in seen) == 2


def test_a_device_that_was_given_can_be_used(box: Box) -> None:
    assert box.sh("head -c 512 /dev/disk | wc -c", "--device", "/dev/vda:/dev/disk:r") == "512"
    assert "not permitted" in box.sh("(: >/dev/disk) 2>&1; :", "--device", "/dev/vda:/dev/disk:r")


def test_rates_and_weights_of_disks_are_set(box: Box) -> None:
    rates = ("--device-read-bps", "/dev/vda:1mb", "--device-write-iops", "/dev/vda:100")
    identity = box.up(*rates, "--blkio-weight", "300")
    device = os.stat("/dev/vda").st_rdev
    line = f"{os.major(device)}:{os.minor(device)} rbps=1048576 wbps=max riops=max wiops=100"
    assert cgroup_file(box.pid(identity), "io.max").read_text().strip() == line
    assert "300" in cgroup_file(box.pid(identity), "io.bfq.weight").read_text()


def test_a_disk_is_no_faster_than_its_rate(box: Box) -> None:
    script = "time -p dd if=/dev/vda of=/dev/null bs=64k count=16 iflag=direct 2>&1"
    shown = box.sh(script, "--device", "/dev/vda:/dev/vda:r", "--device-read-bps=/dev/vda:512kb")
    seconds = next(line.split()[1] for line in shown.splitlines() if line.startswith("real"))
    assert float(seconds) > 1


def test_stats_are_those_of_v2(box: Box) -> None:
    identity = box.up("--memory", "64m", command=("sh", "-c", "while :; do :; done"))
    with box.engine() as engine:
        container = engine.containers.get(identity)
        until(lambda: (container.stats().cpu_usec or 0) > 100_000)
        usage = container.stats()
    assert usage.memory_limit_bytes == 64 << 20
    assert 0 < (usage.memory_bytes or 0) < 64 << 20
    assert usage.pids == 1
    assert usage.block_read_bytes is not None


def test_a_parent_of_ones_own_passes_controllers_on(box: Box, parent: Path) -> None:
    identity = box.up("--cgroup-parent", f"/{parent.name}/deeper", *LIMITS)
    own = parent / "deeper" / identity
    assert (own / "memory.max").read_text().strip() == FILES["memory.max"]
    assert str(box.pid(identity)) in (own / "cgroup.procs").read_text().split()
    box("rm", "-f", identity)
    assert not own.exists()


def test_a_parent_with_processes_is_refused_by_name(box: Box, parent: Path) -> None:
    """Cgroup v2 wants no internal processes: cgroups(7)."""
    process = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    try:
        (parent / "cgroup.procs").write_text(str(process))
        done = box.attempt("run", "--rm", "--cgroup-parent", f"/{parent.name}", "busybox", "true")
    finally:
        os.kill(process, 9)
        os.waitpid(process, 0)
    assert done.returncode == 125
    assert f"from {parent}: it has processes of its own" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not [path for path in parent.iterdir() if path.is_dir()]


def test_a_build_is_bounded_too(box: Box, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN cat /sys/fs/cgroup/pids.max >/pids\n")
    box("build", "-t", "bounded", str(tmp_path))
    assert box("run", "--rm", "bounded", "cat", "/pids").stdout.strip() == "2048"
    box("rmi", "bounded")


def test_limits_of_an_ordinary_user(parent: Path) -> None:
    """In a part that was delegated: the runtime passes controllers on from its top down."""
    session = parent / "session"
    session.mkdir()
    for place in (parent, session):
        for name in ("", "cgroup.procs", "cgroup.subtree_control"):
            os.chown(place / name, UID, UID)
    (TOP / "cgroup.subtree_control").write_text("+memory +pids")

    def limited(config: Json) -> None:
        config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 33}}

    with ordinary_user() as user:
        ours = UserRuntime("onggi", user)
        script = 'echo 0 > "$1/cgroup.procs"; shift; exec "$@"'
        ours.before = ["sh", "-c", script, "sh", str(session)]
        name = ours.identifier()
        ours("run", "--detach", "--bundle", ours.bundle(name, "sleep", "99", change=limited), name)
        try:
            group = parent / "onggi" / name
            assert (group / "memory.max").read_text().strip() == str(64 << 20)
            assert (group / "pids.max").read_text().strip() == "33"
            assert (group / "cgroup.procs").read_text().strip() == str(ours.state(name)["pid"])
            ours("update", "--pids-limit", "44", name)
            assert (group / "pids.max").read_text().strip() == "44"
            assert '"limit":44' in ours("events", "--stats", name).stdout
        finally:
            ours("delete", "--force", name)
        assert not group.exists()


def test_who_shares_the_host_s_cgroup_namespace_changes_no_flag_of_its_mount(
    root_dir: Path,
) -> None:
    """In that namespace every mount of cgroup2 sets the flags of all of them."""

    def shared(config: Json) -> None:
        without(config, "cgroup")
        view = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
        config["mounts"].append({**view, "options": ["nosuid", "noexec", "nodev", "ro"]})

    runtime = OciRuntime("onggi", root_dir)
    before = flags_of_the_mount()
    assert "nsdelegate" in before
    script = "ls -d /sys/fs/cgroup/onggi; echo 1 >/sys/fs/cgroup/cgroup.procs || echo refused"
    done = runtime.run("sh", "-c", script, change=shared)
    assert done.stdout.split() == ["/sys/fs/cgroup/onggi", "refused"], done.stderr
    assert flags_of_the_mount() == before
    runtime.clean()


def flags_of_the_mount() -> str:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return next(line for line in lines if line.split()[1] == str(TOP))
