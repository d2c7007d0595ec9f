"""The rarer options of `run`, by their effect; and Docker's that are refused with a reason."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import cgroup
from support.command import Onggi, root_of_module
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

CGROUP = "/sys/fs/cgroup"
MEMORY_IS_V1 = any(
    each.version == 1 and "memory" in each.controllers for each in cgroup.hierarchies()
)


@pytest.fixture(scope="module")
def jar() -> Iterator[Onggi]:
    command = Onggi(root_of_module("options"))
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


def sh(jar: Onggi, options: list[str], script: str) -> str:
    return jar("run", "--rm", *options, "busybox", "sh", "-c", script).stdout


SEEN: list[tuple[list[str], str, str]] = [
    (["--net", "host"], "readlink /proc/self/ns/net", os.readlink("/proc/self/ns/net") + "\n"),
    (["--net", "none"], "ls /sys/class/net", "lo\n"),
    (["--security-opt", "label:disable", "--security-opt=apparmor=unconfined"], "echo $$", "1\n"),
    (["--restart", "no", "--pull=never", "-q", "--no-healthcheck"], "echo fine", "fine\n"),
    (["--ipc", "private", "--pid", "", "--log-driver", "local"], "echo $$", "1\n"),
    (["--cpuset-mems", "0"], "grep Mems_allowed_list /proc/self/status | cut -f2", "0\n"),
    (["--device", "/dev/null:r"], "stat -c '%t %T' /dev/null", "1 3\n"),
    (["--device", "/dev/zero:/dev/full"], "head -c 1 /dev/full | od -An -c", "  \\0\n"),
    (["--device", "/dev/zero:/dev/pots/clay"], "stat -c '%t %T' /dev/pots/clay", "1 5\n"),
    (["--tmpfs", "/t:exec,uid=7,mode=700"], "stat -c '%u %a' /t", "7 700\n"),
    (["--tmpfs", "/t"], "stat -c '%u %a' /t; grep -c ' /t .*noexec' /proc/mounts", "0 1777\n1\n"),
    (["--tmpfs", "/t:exec,dev,suid"], "grep ' /t ' /proc/mounts | grep -cv ,no", "1\n"),
    (["--mount", "type=tmpfs,dst=/t,tmpfs-mode=755"], "stat -c %a /t", "755\n"),
    (["-t"], "echo $TERM", "xterm\n"),
    (["--sysctl", "net.ipv4.ip_forward=1"], "cat /proc/sys/net/ipv4/ip_forward", "1\n"),
    (["--sysctl", "kernel.msgmax=4242"], "cat /proc/sys/kernel/msgmax", "4242\n"),
    (["--sysctl=fs.mqueue.msg_max=7"], "cat /proc/sys/fs/mqueue/msg_max", "7\n"),
    (["-e", "TERM=vt220", "-t"], "echo $TERM", "vt220\n"),
    (["-u", "4242:2"], "echo $HOME", "/\n"),
    (["-u", "1:2", "-w", "/made/here"], "stat -c '%u %a' .", "0 755\n"),
    (["-e", "HOME=/elsewhere"], "echo $HOME", "/elsewhere\n"),
    (["-h", "jar"], "echo $HOSTNAME", "jar\n"),
    (
        ["--cap-add", "CAP_SYS_TIME", "--cap-drop=all"],
        "grep CapBnd /proc/self/status | cut -f2",
        "0000000002000000\n",
    ),
]


@pytest.mark.parametrize(("options", "script", "expected"), SEEN)
def test_the_program_sees(jar: Onggi, options: list[str], script: str, expected: str) -> None:
    assert sh(jar, options, script) == expected


@pytest.mark.skipif(not MEMORY_IS_V1, reason="cgroup v2 has no such settings")
def test_settings_of_memory_that_only_cgroup_v1_has(jar: Onggi) -> None:
    options = ["--memory-swappiness", "7", "--oom-kill-disable", "-m", "32m"]
    script = f"cd {CGROUP}/memory; cat memory.swappiness; head -1 memory.oom_control"
    assert sh(jar, options, script) == "7\noom_kill_disable 1\n"


@pytest.mark.skipif(MEMORY_IS_V1, reason="cgroup v1 has these settings")
@pytest.mark.parametrize("options", [["--memory-swappiness", "7"], ["--oom-kill-disable"]])
def test_settings_that_cgroup_v2_lacks_are_discarded_with_a_warning(
    jar: Onggi, options: list[str]
) -> None:
    done = jar("run", "--rm", "-m", "32m", *options, "busybox", "true")
    assert "discarded" in done.stderr


def test_without_a_swap_limit_there_is_as_much_swap_as_memory(jar: Onggi) -> None:
    v1, v2 = f"{CGROUP}/memory/memory.memsw.limit_in_bytes", f"{CGROUP}/memory.swap.max"
    expected = 64 << 20 if MEMORY_IS_V1 else 32 << 20
    assert sh(jar, ["-m", "32m"], f"cat {v1} 2>/dev/null || cat {v2}") == f"{expected}\n"
    unlimited = sh(jar, ["-m", "32m", "--memory-swap=-1"], f"cat {v1} 2>/dev/null || cat {v2}")
    assert unlimited in ("max\n", f"{(1 << 63) - os.sysconf('SC_PAGE_SIZE')}\n")


@pytest.mark.parametrize(
    ("option", "rate", "v1", "v2"),
    [
        ("--device-read-bps", "2mb", "read_bps_device", "rbps=2097152"),
        ("--device-write-bps", "3mb", "write_bps_device", "wbps=3145728"),
        ("--device-read-iops", "40", "read_iops_device", "riops=40"),
        ("--device-write-iops", "50", "write_iops_device", "wiops=50"),
    ],
)
def test_rates_of_a_disk(jar: Onggi, option: str, rate: str, v1: str, v2: str) -> None:
    disk = next((each for each in sorted(os.listdir("/sys/block")) if each[0] in "vsn"), None)
    if disk is None:
        pytest.skip("this machine has no disk")
    numbers = Path(f"/sys/block/{disk}/dev").read_text().strip()
    file = f"{CGROUP}/blkio/blkio.throttle.{v1}"
    seen = sh(
        jar, [option, f"/dev/{disk}:{rate}"], f"cat {file} 2>/dev/null || cat {CGROUP}/io.max"
    )
    value = v2.partition("=")[2]
    assert re.search(rf"^{numbers} ({value}|.*\b{v2}\b.*)$", seen, re.MULTILINE)


def test_a_cgroup_parent_of_ones_own(jar: Onggi) -> None:
    parent = f"onggi-test-{os.getpid()}"
    jar("run", "-d", "--name", "child", "--cgroup-parent", f"/{parent}", "busybox", "sleep", "60")
    pid = jar("inspect", "-f", "{{.State.Pid}}", "child").stdout.strip()
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    identity = jar("inspect", "-f", "{{.Id}}", "child").stdout.strip()
    assert any(line.endswith(f"/{parent}/{identity}") for line in lines)
    jar("rm", "-f", "child")
    for hierarchy in cgroup.hierarchies():
        for path in Path(hierarchy.mountpoint).glob(f"**/{parent}"):
            path.rmdir()


def test_the_id_goes_to_a_file(jar: Onggi, tmp_path: Path) -> None:
    file = tmp_path / "cid"
    done = jar("run", "-d", "--rm", "--cidfile", file, "busybox", "true")
    assert file.read_text() == done.stdout.strip()
    again = jar.attempt("run", "--rm", "--cidfile", file, "busybox", "true")
    assert (again.returncode, "exists already" in again.stderr) == (125, True)


@pytest.mark.parametrize("words", [["busybox", "no-such-program"], ["no-such-image"]])
def test_no_file_is_left_where_nothing_ran(jar: Onggi, tmp_path: Path, words: list[str]) -> None:
    assert jar.attempt("run", "--rm", "--cidfile", tmp_path / "cid", *words).returncode >= 125
    assert not (tmp_path / "cid").exists()


def test_nothing_runs_when_the_id_can_go_nowhere(jar: Onggi) -> None:
    before = os.listdir(jar.root / "containers")
    done = jar.attempt("run", "--cidfile", "/no/such/place", "busybox", "echo", "ran")
    assert (done.returncode, done.stdout) == (125, "")
    assert "cannot make the container ID file /no/such/place" in done.stderr
    assert os.listdir(jar.root / "containers") == before


@pytest.mark.parametrize(
    ("streams", "out", "err"),
    [
        (["stdout"], "out\n", ""),
        (["STDERR"], "", "err\n"),
        (["stdout", "stderr"], "out\n", "err\n"),
    ],
)
def test_only_the_attached_streams_pass(jar: Onggi, streams: list[str], out: str, err: str) -> None:
    flags = [word for stream in streams for word in ("-a", stream)]
    done = jar("run", "--rm", *flags, "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (out, err)


def test_input_alone_is_attached_and_the_id_is_printed(jar: Onggi) -> None:
    done = jar("run", "-i", "-a", "stdin", "--name", "fed", "busybox", "cat", input="clay\n")
    assert re.fullmatch(r"[0-9a-f]{64}\n", done.stdout)
    assert jar("logs", "fed").stdout == "clay\n"
    jar("rm", "fed")


def test_a_stop_signal_and_its_patience(jar: Onggi) -> None:
    trap = "trap 'echo told; exit 5' USR1; while :; do sleep 0.05; done"
    run = ("run", "-d", "--name", "stubborn", "--stop-signal", "USR1", "--stop-timeout", "30")
    jar(*run, "busybox", "sh", "-c", f"echo ready; {trap}")
    _wait_for(jar, "stubborn", "ready")
    jar("stop", "stubborn")
    assert jar("logs", "stubborn").stdout == "ready\ntold\n"
    assert jar("wait", "stubborn").stdout == "5\n"
    jar("rm", "stubborn")


def test_signals_are_kept_from_the_program(jar: Onggi) -> None:
    script = (
        "trap 'echo told' USR1; echo ready; i=0; while [ $i -lt 8 ]; do sleep 0.1; i=$((i+1)); done"
    )
    command = jar.start("run", "--name", "deaf", "--sig-proxy=false", "busybox", "sh", "-c", script)
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    command.send_signal(signal.SIGUSR1)  # which ends the command, and it alone
    command.communicate(timeout=30)
    assert command.returncode == -signal.SIGUSR1
    assert jar("wait", "deaf").stdout == "0\n"
    assert jar("logs", "deaf").stdout == "ready\n"
    jar("rm", "deaf")


def test_a_name_that_moved_on_is_no_longer_shown(jar: Onggi) -> None:
    jar("tag", "busybox", "clay")
    jar("run", "--name", "old", "clay", "touch", "/changed")
    form = ("ps", "-a", "-f", "name=^old$", "--format", "{{.Image}}")
    assert jar(*form).stdout == "clay\n"
    before = jar("images", "-q", "clay").stdout
    jar("commit", "old", "clay")
    assert jar(*form).stdout == before
    assert jar(*form, "--no-trunc").stdout.startswith(f"sha256:{before.strip()}")
    jar("rm", "old")
    jar("rmi", "clay")


def test_devices_of_a_directory_and_of_the_host(jar: Onggi) -> None:
    if os.path.exists("/dev/net/tun"):
        numbers = sh(jar, ["--device", "/dev/net"], "stat -c '%t %T' /dev/net/tun")
        assert numbers == "a c8\n"
    host = {name for name in os.listdir("/dev") if os.path.exists(f"/sys/class/mem/{name}")}
    assert host <= set(sh(jar, ["--privileged"], "ls /dev").split())
    assert "kmsg" not in sh(jar, [], "ls /dev").split()


def test_what_is_mounted_below_a_directory_is_read_only_too(jar: Onggi, mounted: Path) -> None:
    script = "touch /b/below/x 2>/dev/null && echo written || echo refused; ls /b/below"
    spell = f"type=bind,src={mounted},dst=/b,ro"
    assert sh(jar, ["-v", f"{mounted}:/b:ro"], script) == "refused\nthere\n"
    assert sh(jar, ["--mount", spell], script) == "refused\nthere\n"
    assert sh(jar, ["--mount", f"{spell},bind-recursive=disabled"], script) == "refused\n"
    writable = sh(jar, ["--mount", f"{spell},bind-recursive=writable"], script)
    assert writable == "written\nthere\nx\n"


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A directory with a file system mounted in it."""
    from onggi.linux import mount

    below = tmp_path / "below"
    below.mkdir()
    mount.mount("tmpfs", str(below), "tmpfs", 0, "size=64k")
    (below / "there").touch()
    yield tmp_path
    mount.umount2(str(below), 0)


@pytest.mark.parametrize(("kind", "tag"), [("private", ""), ("shared", "shared:")])
def test_propagation(jar: Onggi, tmp_path: Path, kind: str, tag: str) -> None:
    long = f"type=bind,src={tmp_path},dst=/b,bind-propagation=r{kind}"
    for option in (["-v", f"{tmp_path}:/b:r{kind}"], ["--mount", long]):
        line = sh(jar, option, "grep ' /b ' /proc/self/mountinfo")
        optional = line.partition(" - ")[0].split()[6:]  # proc_pid_mountinfo(5), field 7
        assert [field.startswith(tag) for field in optional] == [True] * bool(tag)


MKDIR_REFUSED = """{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}
]}"""


def test_a_seccomp_profile_of_ones_own(jar: Onggi, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(MKDIR_REFUSED)
    option = ["--security-opt", f"seccomp={profile}"]
    script = "mkdir /x 2>/dev/null || echo refused; touch /y && echo allowed"
    assert sh(jar, option, script) == "refused\nallowed\n"
    jar("run", "-d", "--name", "judged", *option, "busybox", "sleep", "60")
    profile.unlink()  # the container keeps what it said
    assert "Permission denied" in jar.attempt("exec", "judged", "mkdir", "/x").stderr
    jar("rm", "-f", "judged")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not JSON"),
        ("{}", "has no defaultAction"),
        ('{"defaultAction": "SCMP_ACT_FLY"}', "unknown seccomp action 'SCMP_ACT_FLY'"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": 5}', "has an unexpected form"),
        (MKDIR_REFUSED.replace("ACT_ERRNO", "ACT_NOTIFY"), "nobody could be asked"),
    ],
)
def test_profiles_that_make_no_sense(jar: Onggi, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "profile.json").write_text(text)
    before = os.listdir(jar.root / "containers")
    option = f"seccomp={tmp_path}/profile.json"
    done = jar.attempt("run", "--security-opt", option, "busybox", "true")
    assert (done.returncode, why in done.stderr) == (125, True)
    assert os.listdir(jar.root / "containers") == before


def test_system_paths_unconfined(jar: Onggi) -> None:
    script = "grep -c ' /proc/' /proc/mounts || true"
    assert sh(jar, ["--security-opt", "systempaths=unconfined"], script) == "0\n"
    assert int(sh(jar, [], script)) > 4


REFUSED: list[tuple[list[str], str]] = [
    (["-p", "8080:80"], "-p, --publish is not available: containers have no network"),
    (["-P"], "-P, --publish-all is not available: containers have no network"),
    (["--dns", "1.1.1.1"], "--dns is not available"),
    (["--restart", "always"], "--restart always is not available"),
    (["--pull=always"], "--pull always is not available"),
    (["--pid", "host"], "--pid host is not available: a container always has its own"),
    (["--health-cmd", "true"], "--health-cmd is not available: health checks are kept"),
    (["--network", "bridge"], 'there are "none", loopback only, and "host"'),
    (["--hostname", "two words"], "invalid hostname 'two words' (no blanks"),
    (["--hostname", "h" * 65], "(at most 64 bytes)"),
    (["--domainname", "a\nb"], "invalid domainname 'a\\nb'"),
    (["--tmpfs", "/t:sise=1m"], "invalid tmpfs option 'sise=1m' (size=, mode="),
    (["--tmpfs", "/t:quick"], "invalid tmpfs option 'quick'"),
    (["--mount", "type=bind,src=/tmp"], "target is required"),
    (["--mount", "type=volume,dst=/x,bind-propagation=shared"], "goes with type=bind"),
    (["-v", "/tmp:/x:nocopy"], "invalid mode: nocopy (it goes with volumes)"),
    (["--device", "/etc"], "not a device node: /etc"),
    (["--security-opt", "seccomp=/no/such"], "cannot read seccomp profile /no/such: no such"),
    (
        ["--security-opt", "apparmor=mine"],
        "AppArmor is not enabled on this host (apparmor=unconfined)",
    ),
    (["--sysctl", "kernel.panic=1"], "sysctl 'kernel.panic' is not allowed (fs.mqueue.*"),
    (["--sysctl", "net.a/../../kernel/panic=1"], "is not allowed"),
    (["--sysctl", "net.core.somaxconn=9", "--net=host"], "unless the network is the host's"),
    (["--sysctl", "net.ipv4.ip_forward"], "expected NAME=VALUE"),
    (["-a", "stdlog"], "valid streams are stdin, stdout and stderr"),
    (["--blkio-weight-device", "/dev/vda:5"], "the weight from 10 to 1000"),
    (["--memory-swappiness", "101"], "valid memory swappiness range is 0-100"),
]


@pytest.mark.parametrize(("options", "text"), REFUSED)
def test_refusals_say_why_in_one_line_and_leave_nothing(
    jar: Onggi, options: list[str], text: str
) -> None:
    before = os.listdir(jar.root / "containers")
    done = jar.attempt("run", *options, "busybox", "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(jar.root / "containers") == before


def test_a_refused_container_leaves_no_volume_and_no_directory(jar: Onggi, tmp_path: Path) -> None:
    wanted = ("-v", "/unnamed", "-v", "named:/n", "-v", f"{tmp_path}/new:/d")
    for options in (["-w", "here"], ["-u", "ghost"], ["--security-opt", "x"], ["-m", "1"]):
        assert jar.attempt("run", *wanted, *options, "busybox", "true").returncode == 125
    assert jar("volume", "ls", "-q").stdout == ""
    assert os.listdir(tmp_path) == []
    jar("run", "-d", "--name", "taken", "busybox", "true")
    done = jar.attempt("run", "--name", "taken", "-v", "/unnamed", "busybox", "true")
    assert (done.returncode, "already in use" in done.stderr) == (125, True)
    jar("rm", "-f", "taken")
    assert jar("volume", "ls", "-q").stdout == ""


def test_a_limit_that_the_host_does_not_allow_is_told_with_its_own(jar: Onggi) -> None:
    most = int(Path("/proc/sys/fs/nr_open").read_text())  # not even root may ask for more
    done = jar.attempt("run", "--rm", "--ulimit", f"nofile={most + 1}", "busybox", "true")
    assert (done.returncode, len(done.stderr.splitlines())) == (125, 1)
    assert re.search(
        r"RLIMIT_NOFILE to .* this host allows us at most (\d+|unlimited)", done.stderr
    )


def test_refusals_that_end_with_1(jar: Onggi) -> None:
    done = jar.attempt("run", "-d", "-a", "stdout", "busybox", "true")
    assert (done.returncode, "cannot specify both" in done.stderr) == (1, True)


def _wait_for(jar: Onggi, name: str, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in jar("logs", name).stdout:
        assert time.monotonic() < deadline, f"{name} never said {text}"
        time.sleep(0.02)
