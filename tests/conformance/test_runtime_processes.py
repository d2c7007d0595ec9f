"""Further programs, processes, pauses, terminals and descriptors, by runc's words."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from support.consoles import drained, listening, received
from support.oci_runtimes import (
    Json,
    OciRuntime,
    environment,
    processes_of,
    wait_for_end,
    without,
)
from support.patience import SLOWER
from support.requirements import requires

pytestmark = requires("root", "busybox")


@pytest.fixture
def idle(runtime: OciRuntime) -> str:
    """Give a container that runs and does nothing."""
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "sleep", "100"))
    runtime("start", name)
    return name


def test_exec(runtime: OciRuntime, idle: str) -> None:
    script = "echo out; echo err >&2; busybox readlink /proc/self/ns/pid"
    done = runtime("exec", idle, "sh", "-c", script)
    first = os.readlink(processes_of(runtime.state(idle)["pid"]) / "ns/pid")
    assert done.stdout.splitlines() == ["out", first]
    assert done.stderr == "err\n"


@pytest.mark.parametrize("script", ["exit 3", "kill -9 $$"])
def test_exec_ends_as_the_program(runtime: OciRuntime, idle: str, script: str) -> None:
    code = {"exit 3": 3, "kill -9 $$": 137}[script]
    assert runtime.attempt("exec", idle, "sh", "-c", script).returncode == code


def test_exec_with_options(runtime: OciRuntime, idle: str) -> None:
    words = ["--cwd", "/tmp", "--env", "A=b", "--user", "1000:1001", "--additional-gids", "7"]
    done = runtime("exec", *words, idle, "sh", "-c", "pwd; echo $A; id -u; id -g; id -G")
    assert done.stdout.split("\n")[:4] == ["/tmp", "b", "1000", "1001"]
    assert set(done.stdout.split("\n")[4].split()) == {"1001", "7"}


@pytest.mark.parametrize("entry", ["NAME", "", "=value"])
def test_exec_with_what_is_no_variable(runtime: OciRuntime, idle: str, entry: str) -> None:
    done = runtime.attempt("exec", "--env", entry, idle, "env")
    assert (done.returncode, done.stdout) == (255, "")
    assert "environment variable" in done.stderr


def test_exec_with_an_empty_variable(runtime: OciRuntime, idle: str) -> None:
    assert "NAME=" in runtime("exec", "--env", "NAME=", idle, "env").stdout.splitlines()


def test_run_with_what_is_no_variable(runtime: OciRuntime) -> None:
    done = runtime.run("env", change=lambda config: config["process"]["env"].append("NAME"))
    assert (done.returncode, "invalid environment variable" in done.stderr) == (1, True)


def test_exec_may_get_more_capabilities(runtime: OciRuntime, idle: str) -> None:
    before = runtime("exec", idle, "sh", "-c", "cat /proc/self/status").stdout
    after = runtime("exec", "--cap", "CAP_SYS_TIME", idle, "sh", "-c", "cat /proc/self/status")
    for name in ("CapBnd", "CapEff", "CapPrm"):
        assert not bit(before, name) & 1 << 25
        assert bit(after.stdout, name) & 1 << 25
    assert bit(after.stdout, "CapInh") == 0


def test_exec_without_what_cannot_be_granted(runtime: OciRuntime, idle: str) -> None:
    """Source: runtime-spec config.md, "capabilities": such a value is logged as a warning."""
    done = runtime("exec", "--cap", "CAP_FLY", idle, "cat", "/proc/self/status")
    assert "ignoring unknown or unavailable capabilities: [" in done.stderr
    assert bit(done.stdout, "CapEff") == bit(
        runtime("exec", idle, "cat", "/proc/self/status").stdout, "CapEff"
    )


def bit(status: str, name: str) -> int:
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1], 16)


def test_exec_by_a_file(runtime: OciRuntime, idle: str, root_dir: Path) -> None:
    file = root_dir / "process.json"
    process = {
        "args": ["sh", "-c", "echo $ONE; id -u; pwd"],
        "cwd": "/tmp",
        "env": ["PATH=/bin", "ONE=1"],
        "user": {"uid": 5, "gid": 5},
    }
    file.write_text(json.dumps(process))
    done = runtime("exec", "--process", file, idle)
    assert done.stdout.split() == ["1", "5", "/tmp"]


def test_exec_detached(runtime: OciRuntime, idle: str, root_dir: Path) -> None:
    file = root_dir / "pid"
    runtime("exec", "--detach", "--pid-file", file, idle, "sleep", "50")
    pid = int(file.read_text())
    assert pid in json.loads(runtime("ps", "--format", "json", idle).stdout)
    runtime("kill", "--all", idle, "KILL")
    wait_for_end(pid)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("nothing", "executable file not found in $path"),
        ("/bin/nothing", "no such file or directory"),
        ("/etc", ("permission denied", "is a directory")),
    ],
)
def test_exec_of_what_cannot_be(
    runtime: OciRuntime, idle: str, program: str, said: str | tuple[str, ...]
) -> None:
    done = runtime.attempt("exec", idle, program)
    assert done.returncode == 255
    assert any(one in done.stderr.lower() for one in ([said] if isinstance(said, str) else said))
    assert runtime.state(idle)["status"] == "running"


def test_exec_is_for_the_living(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "true"))
    runtime("start", name)
    runtime.wait_until(name, "stopped")
    done = runtime.attempt("exec", name, "true")
    assert done.returncode == 255
    assert "cannot exec in a stopped container" in done.stderr
    nobody = runtime.attempt("exec", "nobody", "true")
    assert nobody.returncode == 255
    assert "exec failed: container does not exist" in nobody.stderr


def test_exec_of_nothing(runtime: OciRuntime, idle: str) -> None:
    done = runtime.attempt("exec", idle)
    assert done.returncode == 255
    assert "exec failed: process args cannot be empty" in done.stderr


def test_a_failed_exec_blames_no_container(runtime: OciRuntime, idle: str) -> None:
    done = runtime.attempt("exec", "--cwd", "/nowhere", idle, "true")
    assert done.returncode == 255
    assert "exec failed: " in done.stderr
    assert "/nowhere" in done.stderr
    assert "start the container" not in done.stderr


def test_exec_in_a_created_one(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "true"))
    assert runtime("exec", name, "echo", "early").stdout == "early\n"
    runtime("start", name)


def test_exec_into_a_cgroup_below(runtime: OciRuntime, idle: str) -> None:
    of_pids = Path(f"/sys/fs/cgroup/pids/onggi/{idle}")
    version_1 = of_pids.exists()
    group = of_pids if version_1 else Path(f"/sys/fs/cgroup/onggi/{idle}")
    (group / "below").mkdir()
    named = "pids:" if version_1 else ""
    done = runtime("exec", "--cgroup", f"{named}below", idle, "cat", "/proc/self/cgroup")
    mark = ":pids:" if version_1 else "0::"
    mine = next(line for line in done.stdout.splitlines() if mark in line)
    assert mine.endswith("/below")
    missing = runtime.attempt("exec", "--cgroup", f"{named}/nowhere", idle, "true")
    assert missing.returncode == 255
    assert f"{group}/nowhere" in missing.stderr


def test_ps(runtime: OciRuntime, idle: str) -> None:
    pid = runtime.state(idle)["pid"]
    assert json.loads(runtime("ps", "--format", "json", idle).stdout) == [pid]


def test_pause_and_resume(runtime: OciRuntime, idle: str) -> None:
    runtime("pause", idle)
    assert runtime.state(idle)["status"] == "paused"
    refused = runtime.attempt("exec", idle, "true")
    assert (refused.returncode, "paused" in refused.stderr) == (255, True)
    assert runtime.attempt("pause", idle).returncode == 1
    assert runtime.attempt("delete", idle).returncode == 1
    runtime("resume", idle)
    assert runtime.state(idle)["status"] == "running"
    assert runtime.attempt("resume", idle).returncode == 1
    assert runtime("exec", idle, "echo", "again").stdout == "again\n"


def test_exec_that_waits_for_resume(runtime: OciRuntime, idle: str, root_dir: Path) -> None:
    runtime("pause", idle)
    out = (root_dir / "late").open("w+")
    line = runtime.line("exec", "--ignore-paused", idle, "echo", "late")
    with out, subprocess.Popen(line, stdout=out, stdin=subprocess.DEVNULL) as waiting:
        time.sleep(0.3)
        assert waiting.poll() is None
        runtime("resume", idle)
        assert waiting.wait(timeout=10 * SLOWER) == 0
        out.seek(0)
        assert out.read() == "late\n"


def test_a_paused_one_can_be_killed(runtime: OciRuntime, idle: str) -> None:
    runtime("pause", idle)
    runtime("kill", idle, "KILL")
    runtime.wait_until(idle, "stopped")
    runtime("delete", idle)


def test_a_paused_one_can_be_deleted_by_force(runtime: OciRuntime, idle: str) -> None:
    runtime("pause", idle)
    runtime("delete", "--force", idle)
    assert not runtime.remains(idle)


def test_kill_all_reaches_what_the_first_leaves(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(
        name, "sh", "-c", "sleep 99 & sleep 99", change=lambda config: without(config, "pid")
    )
    runtime.create(name, bundle)
    runtime("start", name)
    deadline = time.monotonic() + 10 * SLOWER
    while len(pids := json.loads(runtime("ps", "-f", "json", name).stdout)) < 2:
        assert time.monotonic() < deadline
    runtime("kill", "--all", name, "KILL")
    for pid in pids:
        wait_for_end(pid)
    runtime.wait_until(name, "stopped")


def test_a_terminal_by_socket(runtime: OciRuntime, root_dir: Path) -> None:
    name = runtime.identifier()

    def on_terminal(config: Json) -> None:
        config["process"] |= {"terminal": True, "consoleSize": {"height": 33, "width": 101}}

    script = "tty; busybox stty size"
    bundle = runtime.bundle(name, "sh", "-c", script, change=on_terminal)
    with listening(root_dir / "console") as server:
        runtime.create(name, bundle, "--console-socket", root_dir / "console")
        master = received(server)
    runtime("start", name)
    said = drained(master)
    assert said.split()[:3] == ["/dev/pts/0", "33", "101"]


def test_exec_with_a_terminal_by_socket(runtime: OciRuntime, idle: str, root_dir: Path) -> None:
    with listening(root_dir / "console") as server:
        words = ["--tty", "--detach", "--console-socket", str(root_dir / "console")]
        runtime("exec", *words, idle, "tty")
        assert drained(received(server)).split() == ["/dev/pts/0"]


def test_a_terminal_needs_a_socket(runtime: OciRuntime, root_dir: Path) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(
        name, "true", change=lambda config: config["process"].update(terminal=True)
    )
    assert runtime.attempt("create", "--bundle", bundle, name).returncode == 1
    plain = runtime.identifier()
    with listening(root_dir / "console"):
        done = runtime.attempt(
            "create",
            "--bundle",
            runtime.bundle(plain, "true"),
            "--console-socket",
            root_dir / "console",
            plain,
        )
    assert done.returncode == 1
    gone = runtime.attempt("create", "--bundle", bundle, "--console-socket", "/nowhere", name)
    assert gone.returncode == 1
    assert not runtime.remains(name)


def test_preserved_descriptors(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    script = "cat <&3; ls /proc/self/fd | busybox wc -w; echo listen=$LISTEN_FDS"
    bundle = runtime.bundle(name, "sh", "-c", script)
    reader, writer = os.pipe()
    os.write(writer, b"passed\n")
    os.close(writer)
    try:
        done = runtime("run", "--preserve-fds", "1", "--bundle", bundle, name, **at_three(reader))
    finally:
        os.close(reader)
    # Standard streams, the one that was passed, and the directory that ls reads.
    assert done.stdout.split() == ["passed", "5", "listen="]


def test_a_descriptor_that_is_not_there(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "true")
    done = runtime.attempt("create", "--preserve-fds", "60", "--bundle", bundle, name)
    assert done.returncode == 1
    assert not runtime.remains(name)


def test_listening_sockets(runtime: OciRuntime, root_dir: Path) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "sh", "-c", "echo $LISTEN_FDS; busybox readlink /proc/self/fd/3")
    with listening(root_dir / "served") as server:
        # LISTEN_PID has to name the runtime, which the shell becomes.
        line = 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        words = runtime.line("run", "--bundle", bundle, name)
        done = subprocess.run(
            ["sh", "-c", line, "sh", *words],
            env=environment(),
            text=True,
            capture_output=True,
            timeout=30,
            **at_three(server.fileno()),
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1"
    assert done.stdout.splitlines()[1].startswith("socket:")


def test_nothing_else_is_passed_on(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "ls", "/proc/self/fd")
    reader, writer = os.pipe()
    try:
        done = runtime("run", "--bundle", bundle, name, **at_three(reader))
    finally:
        os.close(reader)
        os.close(writer)
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


def at_three(fd: int) -> Json:
    """Return what gives a child of ours this descriptor as its third."""
    return {"preexec_fn": lambda: os.dup2(fd, 3), "close_fds": False}


def test_a_terminal_in_the_foreground(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    script = "read line; echo got:$line; busybox stty size; exit 4"
    bundle = runtime.bundle(
        name,
        "sh",
        "-c",
        script,
        change=lambda config: config["process"].update(terminal=True),
    )
    master, slave = os.openpty()
    import termios

    termios.tcsetwinsize(slave, (21, 77))
    line = runtime.line("run", "--bundle", bundle, name)
    with subprocess.Popen(line, stdin=slave, stdout=slave, stderr=slave) as running:
        os.close(slave)
        os.write(master, b"hello\n")
        said = drained(master)
        assert running.wait(timeout=10 * SLOWER) == 4
    assert "got:hello" in said
    if runtime.name == "onggi":  # runc sets it once the program runs, which may have looked by then
        assert "21 77" in said


def test_exec_passes_descriptors(runtime: OciRuntime, idle: str) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"passed\n")
    os.close(writer)
    script = "cat <&3; ls /proc/self/fd | busybox wc -w"
    try:
        done = runtime("exec", "--preserve-fds", "1", idle, "sh", "-c", script, **at_three(reader))
    finally:
        os.close(reader)
    assert done.stdout.split() == ["passed", "5"]


def test_exec_passes_nothing_else(runtime: OciRuntime, idle: str) -> None:
    reader, writer = os.pipe()
    try:
        done = runtime("exec", idle, "ls", "/proc/self/fd", **at_three(reader))
    finally:
        os.close(reader)
        os.close(writer)
    assert done.stdout.split() == ["0", "1", "2", "3"]


def test_exec_by_a_user_that_opens_its_streams_again(runtime: OciRuntime, idle: str) -> None:
    reader, writer = os.pipe()
    try:
        line = runtime.line("exec", "--user", "77:77", idle, "sh", "-c", "echo again > /dev/stdout")
        done = subprocess.run(
            line, stdout=writer, stdin=subprocess.DEVNULL, timeout=30, check=False
        )
        assert done.returncode == 0
        assert os.read(reader, 100) == b"again\n"
    finally:
        os.close(reader)
        os.close(writer)
