"""Every option of `run` and `exec`, by its effect in a real container."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi, root_of_module
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

CGROUP = "/sys/fs/cgroup"


@pytest.fixture(scope="module")
def jar() -> Iterator[Onggi]:
    root = root_of_module("run")
    command = Onggi(root)
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


@pytest.fixture
def web(jar: Onggi) -> Iterator[str]:
    jar("run", "-d", "--name", "web", "--memory", "64m", "busybox", "sleep", "600")
    yield "web"
    jar("rm", "-f", "web")


def sh(jar: Onggi, options: list[str], script: str) -> str:
    return jar("run", "--rm", *options, "busybox", "sh", "-c", script).stdout


SEEN: list[tuple[list[str], str, str]] = [
    (["--hostname", "jar"], "hostname; cat /etc/hostname", "jar\njar\n"),
    (["--domainname", "kiln"], "cat /proc/sys/kernel/domainname", "kiln\n"),
    (["-e", "A=1", "-e", "B=x y"], 'echo "$A$B"', "1x y\n"),
    (["-w", "/made/here"], "pwd", "/made/here\n"),
    (["-u", "nobody"], "id -u", "65534\n"),
    (["-u", "12:34"], "id -u; id -g", "12\n34\n"),
    (["-u", "12", "--group-add", "77"], "id -G", "0 77\n"),
    (["--read-only"], "touch /x 2>/dev/null || echo refused", "refused\n"),
    (["--read-only", "--tmpfs", "/t"], "touch /t/x && echo fine", "fine\n"),
    (["--tmpfs", "/t:size=64k"], "df -k /t | awk 'END {print $2}'", "64\n"),
    (["--shm-size", "1m"], "df -k /dev/shm | awk 'END {print $2}'", "1024\n"),
    (["--ulimit", "nofile=100:200"], "ulimit -n; ulimit -Hn", "100\n200\n"),
    (["--oom-score-adj", "300"], "cat /proc/self/oom_score_adj", "300\n"),
    (["--network", "none"], "ls /sys/class/net", "lo\n"),
    (["--cap-drop", "ALL"], "grep CapEff /proc/self/status", "CapEff:\t0000000000000000\n"),
    (
        ["--cap-drop", "ALL", "--cap-add", "chown"],
        "grep CapBnd /proc/self/status",
        "CapBnd:\t0000000000000001\n",
    ),
    ([], "grep -E 'CapInh|NoNewPrivs|Seccomp:' /proc/self/status | cut -f2", "0" * 16 + "\n1\n2\n"),
    (["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status | cut -f2", "0\n"),
    (
        ["--security-opt", "no-new-privileges=false"],
        "grep NoNewPrivs /proc/self/status | cut -f2",
        "0\n",
    ),
    (["--init"], "cat /proc/1/comm; echo $$", "onggi-init\n2\n"),
    (["--label", "a=b"], "echo fine", "fine\n"),
    (["--cpuset-cpus", "0"], "grep Cpus_allowed_list /proc/self/status | cut -f2", "0\n"),
    ([], "ls /proc/self/fd | wc -l", "4\n"),  # three streams, and the one that lists
    ([], "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l", "0\n0\n"),
    ([], "echo 1 > /proc/sys/kernel/panic || echo refused", "refused\n"),
    (["-u", "nobody"], "echo again > /dev/stdout", "again\n"),
]


@pytest.mark.parametrize(("options", "script", "expected"), SEEN)
def test_the_program_sees(jar: Onggi, options: list[str], script: str, expected: str) -> None:
    assert sh(jar, options, script) == expected


LIMITS = {
    "--cpus 0.25": ("cpu/cpu.cfs_quota_us", "25000", "cpu.max", "25000 100000"),
    "--cpu-shares 256": ("cpu/cpu.shares", "256", "cpu.weight", None),
    "--cpu-period 50000 --cpu-quota 10000": ("cpu/cpu.cfs_quota_us", "10000", "cpu.max", None),
    "--memory 32m": ("memory/memory.limit_in_bytes", str(32 << 20), "memory.max", str(32 << 20)),
    "--memory-reservation 16m": (
        "memory/memory.soft_limit_in_bytes",
        str(16 << 20),
        "memory.low",
        str(16 << 20),
    ),
    "--memory 32m --memory-swap 48m": (
        "memory/memory.memsw.limit_in_bytes",
        str(48 << 20),
        "memory.swap.max",
        str(16 << 20),
    ),
    "--pids-limit 17": ("pids/pids.max", "17", "pids.max", "17"),
}


@pytest.mark.parametrize("flags", LIMITS)
def test_the_host_sets_limits_that_can_only_be_read_inside(jar: Onggi, flags: str) -> None:
    v1, value, v2, other = LIMITS[flags]
    script = (
        f"if [ -e {CGROUP}/{v1} ]; then echo 1; f={CGROUP}/{v1}; else echo 2; f={CGROUP}/{v2}; fi;"
        "cat $f; echo 1 > $f || echo refused"
    )
    version, seen, refusal = sh(jar, flags.split(), script).splitlines()
    assert refusal == "refused"
    assert version == "2" or seen == value
    assert version == "1" or other is None or seen == other


def test_too_many_processes_are_refused(jar: Onggi) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait"
    done = jar.attempt("run", "--rm", "--pids-limit", "5", "busybox", "sh", "-c", script)
    assert "fork" in done.stderr


def test_the_oom_killer_is_told_of(jar: Onggi) -> None:
    eat = "x=a; while true; do x=$x$x; done"
    done = jar.attempt("run", "--name", "eater", "-m", "16m", "busybox", "sh", "-c", eat)
    assert done.returncode == 137
    assert jar("inspect", "-f", "{{.State.OOMKilled}}", "eater").stdout == "true\n"
    jar("rm", "eater")


def test_device_rates_are_set(jar: Onggi) -> None:
    devices = [line.split()[:3] for line in Path("/proc/partitions").read_text().split("\n")[2:-1]]
    major, minor = devices[0][0], devices[0][1]
    name = (
        Path(f"/sys/dev/block/{major}:{minor}/uevent").read_text().split("DEVNAME=")[1].split()[0]
    )
    file = f"{CGROUP}/blkio/blkio.throttle.write_bps_device"
    script = f"cat {file} 2>/dev/null || cat {CGROUP}/io.max"
    seen = sh(jar, ["--device-write-bps", f"/dev/{name}:1mb"], script)
    assert re.search(rf"{major}:{minor} .*1048576", seen)


CODES = {
    ("true",): 0,
    ("sh", "-c", "exit 42"): 42,
    ("no-such-program",): 127,
    ("/no/such/program",): 127,
    ("/etc/passwd",): 126,
    ("/etc",): 126,
}


@pytest.mark.parametrize("words", list(CODES))
def test_exit_codes(jar: Onggi, words: tuple[str, ...]) -> None:
    assert jar.attempt("run", "--rm", "busybox", *words).returncode == CODES[words]


def test_a_signal_is_told_as_128_and_its_number(jar: Onggi) -> None:
    script = "sh -c 'kill -KILL $$'; exit $?"
    assert jar.attempt("run", "--rm", "busybox", "sh", "-c", script).returncode == 137


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--memory", "1k", "busybox"], 125, "minimum memory"),
        (["--memory", "lots", "busybox"], 125, "invalid size: 'lots'"),
        (["--network", "bridge", "busybox"], 125, "network 'bridge' not found"),
        (["--cap-add", "FLY", "busybox"], 125, "unknown capability"),
        (["-v", "relative", "busybox"], 125, "must be absolute"),
        (["-u", "ghost", "busybox"], 125, "unable to find user ghost"),
        (["-w", "here", "busybox"], 125, "must be absolute"),
        (["--cpus", "1000", "busybox"], 125, "Range of CPUs is from"),
        (["--ulimit", "nofile=2:1", "busybox"], 125, "soft limit must be less"),
        (["--nonsense", "busybox"], 125, "unknown flag: --nonsense"),
        (["no-such-image"], 125, "no such image: no-such-image"),
        (["Bad:Name:x"], 125, "invalid reference"),
    ],
)
def test_refusals_are_one_clear_line_and_leave_nothing(
    jar: Onggi, words: list[str], code: int, text: str
) -> None:
    before = sorted(os.listdir(jar.root / "containers"))
    done = jar.attempt("run", "--rm", *words, *([] if "no-such" in words[0] else ["true"]))
    assert done.returncode == code
    assert text.lower() in done.stderr.lower()
    assert len(done.stderr.strip().splitlines()) <= 2
    assert sorted(os.listdir(jar.root / "containers")) == before


def test_input_and_output_pass_unchanged(jar: Onggi) -> None:
    data = "".join(f"{number:07}\n" for number in range(400_000))
    assert jar("run", "--rm", "-i", "busybox", "cat", input=data).stdout == data


def test_output_and_errors_stay_apart(jar: Onggi) -> None:
    done = jar("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_reader_that_goes_away_does_no_harm(jar: Onggi) -> None:
    line = " ".join(jar.line("run", "--rm", "busybox", "yes"))
    done = subprocess.run(["bash", "-c", f"{line} | head -n 1"], capture_output=True, timeout=60)
    assert done.stdout == b"y\n"
    for line in jar("ps", "-q").stdout.split():
        jar("rm", "-f", line)


def test_signals_reach_the_program(jar: Onggi) -> None:
    script = "trap 'echo caught; exit 5' TERM; echo ready; while true; do sleep 0.05; done"
    process = jar.start("run", "--rm", "busybox", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "caught\n"
    assert process.returncode == 5


def test_an_init_reaps_what_nobody_waits_for(jar: Onggi) -> None:
    script = "(sleep 0.1 &) ; sleep 0.4; ps -o stat,comm | grep -c Z"
    done = jar.attempt("run", "--rm", "--init", "busybox", "sh", "-c", script)
    assert done.stdout == "0\n"


def on_terminal(line: list[str], typed: bytes, until: bytes) -> bytes:
    pid, master = pty.fork()
    if pid == 0:
        os.execv(line[0], line)
    seen = b""
    deadline = time.monotonic() + 30
    os.write(master, typed)
    while until not in seen and time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            try:
                seen += os.read(master, 4096)
            except OSError:
                break
    os.close(master)
    os.waitpid(pid, 0)
    return seen


def test_a_terminal(jar: Onggi) -> None:
    line = jar.line("run", "--rm", "-it", "busybox", "sh")
    seen = on_terminal(line, b"tty; test -t 1 && echo is-a-$((40+2)); exit\n", b"is-a-42")
    assert b"/dev/pts/0" in seen
    assert b"is-a-42" in seen


def test_volumes(jar: Onggi, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host\n")
    bind = ["-v", f"{tmp_path}:/b", "-v", f"{tmp_path}:/r:ro", "-v", "named:/n"]
    script = "cat /b/file; echo new > /b/new; echo x > /r/x || echo refused; echo kept > /n/file"
    assert sh(jar, bind, script) == "host\nrefused\n"
    assert (tmp_path / "new").read_text() == "new\n"
    assert sh(jar, ["-v", "named:/n"], "cat /n/file") == "kept\n"
    jar("volume", "rm", "named")


def test_an_empty_volume_gets_what_the_image_has_there(jar: Onggi) -> None:
    script = "stat -c '%U %a' /pottery; cat /pottery/jar; readlink /pottery/kiln"
    build = "mkdir -m 750 /pottery; echo clay > /pottery/jar; ln -s /fire /pottery/kiln"
    jar("run", "--name", "potter", "busybox", "sh", "-c", f"{build}; chown -R 9 /pottery")
    jar("commit", "potter", "pottery")
    jar("rm", "potter")
    seen = "UNKNOWN 750\nclay\n/fire\n"
    run = ("run", "--rm", "-v", "shelf:/pottery")
    assert jar(*run, "pottery", "sh", "-c", script).stdout == seen
    assert jar(*run, "busybox", "sh", "-c", script).stdout == seen  # it is the volume's now
    assert jar(*run, "pottery", "sh", "-c", "echo glaze > /pottery/jar").stdout == ""
    assert jar(*run, "pottery", "cat", "/pottery/jar").stdout == "glaze\n"
    nothing = ("--mount", "type=volume,src=rack,dst=/pottery,volume-nocopy")
    for options in (["-v", "bare:/pottery:nocopy"], nothing):
        assert sh(jar, ["-v", "/anonymous", *options], "ls /pottery") == ""
    jar("rmi", "pottery")
    jar("volume", "rm", "shelf", "bare", "rack")


def test_a_name_has_one_container(jar: Onggi, web: str) -> None:
    done = jar.attempt("run", "--rm", "--name", web, "busybox", "true")
    assert done.returncode == 125
    assert "already in use" in done.stderr


def test_exec_is_as_confined_as_the_container(jar: Onggi, web: str) -> None:
    script = "for n in 1 self; do grep -E 'CapBnd|NoNew|Seccomp:' /proc/$n/status; done"
    lines = jar("exec", web, "sh", "-c", script).stdout.splitlines()
    assert lines[:3] == lines[3:]
    assert jar("exec", web, "sh", "-c", "ls /proc/self/fd | wc -l").stdout == "4\n"


def test_exec_options(jar: Onggi, web: str) -> None:
    assert jar("exec", "-e", "A=1", web, "sh", "-c", "echo $A").stdout == "1\n"
    assert jar("exec", "-w", "/tmp", web, "pwd").stdout == "/tmp\n"
    assert jar("exec", "-u", "nobody", web, "id", "-u").stdout == "65534\n"
    assert jar("exec", "-i", web, "cat", input="in").stdout == "in"
    assert jar.attempt("exec", web, "sh", "-c", "exit 9").returncode == 9
    assert jar.attempt("exec", web, "nothing").returncode == 127
    assert jar.attempt("exec", web, "/etc/passwd").returncode == 126
    jar("exec", "-d", web, "touch", "/tmp/detached")
    seen = on_terminal(jar.line("exec", "-it", web, "sh"), b"tty; exit\n", b"/dev/pts/")
    assert b"/dev/pts/" in seen
    assert jar("exec", web, "ls", "/tmp/detached").stdout == "/tmp/detached\n"


def test_exec_into_nothing(jar: Onggi) -> None:
    jar("run", "--name", "over", "busybox", "true")
    done = jar.attempt("exec", "over", "true")
    assert (done.returncode, "is not running" in done.stderr) == (1, True)
    jar("rm", "over")


def test_the_life_of_a_container(jar: Onggi) -> None:
    identity = jar("run", "-d", "--name", "life", "busybox", "sh", "-c", "echo hi; exec sleep 99")
    full = identity.stdout.strip()
    assert re.fullmatch(r"[0-9a-f]{64}\n", identity.stdout)
    assert full[:12] in jar("ps").stdout
    assert jar("logs", "life").stdout == "hi\n"
    assert jar("stop", "-t", "0", "life").stdout == "life\n"
    assert jar("wait", "life").stdout == "137\n"
    assert full[:12] not in jar("ps").stdout
    assert "Exited (137)" in jar("ps", "-a").stdout
    record = json.loads(jar("inspect", "life").stdout)[0]
    assert (record["Id"], record["State"]["ExitCode"]) == (full, 137)
    assert jar("rm", "life").stdout == "life\n"
    assert "life" not in jar("ps", "-a").stdout


def test_a_running_container_is_not_removed_without_force(jar: Onggi, web: str) -> None:
    done = jar.attempt("rm", web)
    assert (done.returncode, "is running" in done.stderr) == (1, True)


def test_stats_count_what_is_used(jar: Onggi, web: str) -> None:
    line = jar("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}").stdout
    assert re.fullmatch(rf"{web} .*iB / 64MiB 1\n", line)
