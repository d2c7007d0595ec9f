"""dockerd with our runtime beside runc: what its users do most is done with both.

Our containers are removed after each test; the daemon must have left nothing of them by then.
"""

import re
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dockerd import Dockerd
from support.oci_runtimes import lay_out_rootfs
from support.ptys import Terminal
from support.requirements import requires

pytestmark = requires("root", "busybox", "dockerd")

APART = ("--network", "none")


class Docker:
    """The daemon's client, whose containers one of the two runtimes makes."""

    def __init__(self, daemon: Dockerd, runtime: str) -> None:
        self.daemon = daemon
        self.options = ("--runtime", runtime)

    def __call__(self, *words: str | Path) -> str:
        return self.daemon(*words)

    def run(self, *words: str | Path) -> str:
        return self.daemon("run", "--rm", *self.options, *APART, *words)

    def start(self, *words: str | Path) -> str:
        """Start a container in the background; return its name."""
        name = f"c{uuid.uuid4().hex[:8]}"
        self.daemon("run", "--detach", "--name", name, *self.options, *APART, *words)
        return name


@pytest.fixture(scope="module")
def _daemon() -> Iterator[Dockerd]:
    with tempfile.TemporaryDirectory(prefix="dockerd-", dir="/dev/shm") as name:
        lay_out_rootfs(Path(name, "rootfs"))
        daemon = Dockerd(Path(name))
        try:
            _import(daemon, Path(name, "rootfs"))
            yield daemon
        finally:
            daemon.stop()


def _import(daemon: Dockerd, rootfs: Path) -> None:
    archive = rootfs.with_suffix(".tar")
    subprocess.run(["tar", "-C", rootfs, "-cf", archive, "."], check=True)
    daemon("import", archive, "box")


@pytest.fixture(
    params=[pytest.param("onggi"), pytest.param("runc", marks=pytest.mark.requires("runc"))]
)
def docker(request: pytest.FixtureRequest, _daemon: Dockerd) -> Iterator[Docker]:
    yield Docker(_daemon, request.param)
    _daemon.empty()


def test_run(docker: Docker) -> None:
    assert docker.run("box", "echo", "hello") == "hello\n"


def test_input(docker: Docker) -> None:
    words = ("run", "--rm", "--interactive", *docker.options, *APART, "box", "cat")
    assert docker.daemon(*words, text="given\n") == "given\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [(["sh", "-c", "exit 9"], 9), (["nothing"], 127), (["/etc"], 126), (["/bin/nothing"], 127)],
)
def test_exit_codes(docker: Docker, words: list[str], code: int) -> None:
    done = docker.daemon.attempt("run", "--rm", *docker.options, *APART, "box", *words)
    assert done.returncode == code, done.stderr


def test_a_life(docker: Docker) -> None:
    name = docker.start("box", "sh", "-c", "echo said; exec sleep 100")
    docker("pause", name)
    assert docker.daemon.inspect(name, "{{.State.Status}}") == "paused"
    docker("unpause", name)
    assert "sleep 100" in docker("top", name)
    assert docker("logs", name) == "said\n"
    docker("stop", "--time", "0", name)
    assert docker.daemon.inspect(name, "{{.State.ExitCode}}") == "137"
    docker("start", name)
    docker("restart", "--time", "0", name)
    assert docker.daemon.inspect(name, "{{.State.Status}}") == "running"
    docker("kill", "--signal", "KILL", name)
    assert docker("wait", name) == "137\n"
    docker("rm", name)


def test_made_first_and_started_later(docker: Docker) -> None:
    name = docker("create", *docker.options, *APART, "box", "echo", "started").strip()
    assert docker.daemon.inspect(name, "{{.State.Status}}") == "created"
    docker("start", name)
    assert docker("wait", name) == "0\n"
    assert docker("logs", name) == "started\n"


def test_exec(docker: Docker) -> None:
    name = docker.start("--env", "A=1", "box", "sleep", "100")
    assert docker("exec", name, "sh", "-c", "echo $A; id -u").split() == ["1", "0"]
    words = ("--user", "7:8", "--workdir", "/tmp", "--env", "A=2")
    said = docker("exec", *words, name, "sh", "-c", "echo $A; pwd; id -u; id -g")
    assert said.split() == ["2", "/tmp", "7", "8"]
    assert docker.daemon("exec", "--interactive", name, "cat", text="given") == "given"
    assert docker.daemon.attempt("exec", name, "sh", "-c", "exit 5").returncode == 5
    assert docker.daemon.attempt("exec", name, "nothing").returncode in (126, 127)
    docker("exec", "--detach", name, "touch", "/tmp/made")
    docker("exec", name, "sh", "-c", "until [ -e /tmp/made ]; do sleep 0.01; done")


def test_a_terminal(docker: Docker) -> None:
    assert docker.run("--tty", "box", "tty").strip() == "/dev/pts/0"


def test_a_person_at_a_terminal(docker: Docker) -> None:
    name = docker.start("box", "sleep", "100")
    line = docker.daemon.line("exec", "--interactive", "--tty", name, "sh")
    with Terminal(line, rows=31, columns=91) as terminal:
        # The client tells the size once the program runs already.
        script = '[ "$(busybox stty size)" = "31 91" ]'
        terminal.enter(f"until {script}; do sleep 0.05; done; echo en''d\n")
        terminal.expect("end")
        terminal.enter("exit 3\n")
        assert terminal.wait() == 3


def test_limits(docker: Docker) -> None:
    if not Path("/sys/fs/cgroup/memory").is_dir():
        pytest.skip("this host has v2 alone, whose files test_runtime_resources reads")
    words = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "77", "--cpuset-cpus", "0"]
    words += ["--cpu-shares", "512"]
    name = docker.start(*words, "box", "sleep", "100")
    files = ["memory/memory.limit_in_bytes", "pids/pids.max", "cpu/cpu.cfs_quota_us"]
    files += ["cpuset/cpuset.cpus", "cpu/cpu.shares"]
    read = ("exec", name, "cat", *(f"/sys/fs/cgroup/{file}" for file in files))
    assert docker(*read).split() == [str(64 << 20), "77", "50000", "0", "512"]
    docker("update", "--memory", "80m", "--memory-swap", "160m", "--pids-limit", "88", name)
    docker("update", "--cpus", "0.25", name)
    assert docker(*read).split() == [str(80 << 20), "88", "25000", "0", "512"]
    said = docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name)
    assert said.strip().endswith("/ 80MiB 1")


def test_what_memory_ends(docker: Docker) -> None:
    hungry = "busybox dd if=/dev/zero of=/dev/null bs=100M count=1"
    name = docker.start("--memory", "16m", "--memory-swap", "16m", "box", "sh", "-c", hungry)
    assert docker("wait", name).strip() == "137"
    assert docker.daemon.inspect(name, "{{.State.OOMKilled}}") == "true"


def test_an_init(docker: Docker) -> None:
    script = "cat /proc/1/comm; [ $$ != 1 ] && exit 3"
    done = docker.daemon.attempt(
        *("run", "--rm", "--init", *docker.options, *APART, "box", "sh", "-c", script)
    )
    assert (done.returncode, done.stdout) == (3, "docker-init\n")


def test_rights_and_users(docker: Docker) -> None:
    words = ["--user", "1000:1001", "--group-add", "44", "--cap-drop", "ALL"]
    words += ["--security-opt", "no-new-privileges", "--ulimit", "nofile=99:100"]
    said = docker.run(*words, "box", "sh", "-c", "cat /proc/self/status; ulimit -n")
    assert re.search(r"^Uid:\s1000\s1000", said, re.MULTILINE)
    assert re.search(r"^Groups:\s44", said, re.MULTILINE)
    assert re.search(r"^CapBnd:\s0{16}$", said, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s1$", said, re.MULTILINE)
    assert re.search(r"^Seccomp:\s2$", said, re.MULTILINE)
    assert said.split()[-1] == "99"


def test_more_rights(docker: Docker) -> None:
    words = ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]
    script = "cat /proc/self/status; busybox mount -t tmpfs tmpfs /tmp && echo mounted"
    said = docker.run(*words, "box", "sh", "-c", script)
    assert re.search(r"^Seccomp:\s0$", said, re.MULTILINE)
    assert said.split()[-1] == "mounted"


def test_mounts(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from outside")
    words = ["--read-only", "--tmpfs", "/scratch:size=1m,mode=1777", "--volume", "kept:/kept"]
    words += ["--volume", f"{tmp_path}:/given:ro", "--shm-size", "2m"]
    script = "cat /given/file; touch /scratch/x /kept/y && ! touch /z && ! touch /given/z"
    assert docker.run(*words, "box", "sh", "-c", script) == "from outside"
    assert docker.run("--volume", "kept:/kept", "box", "ls", "/kept") == "y\n"
    docker("volume", "rm", "kept")


def test_a_device_and_a_parameter(docker: Docker) -> None:
    words = ["--device", "/dev/zero:/dev/nought:r", "--sysctl", "net.ipv4.ip_forward=1"]
    script = "busybox head -c 3 /dev/nought | busybox wc -c; cat /proc/sys/net/ipv4/ip_forward"
    assert docker.run(*words, "box", "sh", "-c", script).split() == ["3", "1"]


@pytest.mark.parametrize(("option", "kind"), [("pid", "pid"), ("ipc", "ipc"), ("network", "net")])
def test_a_namespace_of_another_container(docker: Docker, option: str, kind: str) -> None:
    shared = ("--ipc", "shareable") if option == "ipc" else ()
    name = docker.start(*shared, "box", "sleep", "100")
    link = ("busybox", "readlink", f"/proc/self/ns/{kind}")
    words = [*docker.options, *(APART if option != "network" else ())]
    said = docker("run", "--rm", *words, f"--{option}", f"container:{name}", "box", *link)
    assert said == docker("exec", name, *link)


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts", "cgroupns"])
def test_namespaces_of_the_host(docker: Docker, kind: str) -> None:
    link = f"/proc/self/ns/{'cgroup' if kind == 'cgroupns' else kind}"
    said = docker.run(f"--{kind}", "host", "box", "busybox", "readlink", link)
    assert said.strip() == docker.daemon.namespace("cgroup" if kind == "cgroupns" else kind)


def test_what_is_healthy(docker: Docker) -> None:
    words = ["--health-cmd", "test -e /tmp/well", "--health-interval", "100ms"]
    name = docker.start(*words, "--health-retries", "1", "box", "sleep", "100")
    docker.daemon.wait_until(name, "{{.State.Health.Status}}", "unhealthy")
    docker("exec", name, "touch", "/tmp/well")
    docker.daemon.wait_until(name, "{{.State.Health.Status}}", "healthy")


def test_what_is_started_again(docker: Docker) -> None:
    name = docker.start("--restart", "on-failure:2", "box", "sh", "-c", "echo again; exit 1")
    docker.daemon.wait_until(name, "{{.State.Status}} {{.RestartCount}}", "exited 2")
    assert docker("logs", name) == 3 * "again\n"


def test_files_in_and_out(docker: Docker, tmp_path: Path) -> None:
    name = docker.start("box", "sleep", "100")
    (tmp_path / "given").write_text("given")
    docker("cp", tmp_path / "given", f"{name}:/tmp/there")
    docker("cp", f"{name}:/tmp/there", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "given"
    assert "A /tmp/there" in docker("diff", name)


def test_started_with_its_streams(docker: Docker) -> None:
    name = docker("create", "--interactive", *docker.options, *APART, "box", "cat").strip()
    start = docker.daemon("start", "--attach", "--interactive", name, text="given\n")
    assert start == "given\n"
    assert docker("wait", name) == "0\n"


def test_a_program_that_ends_well(docker: Docker) -> None:
    script = "trap 'echo bye; exit 6' TERM; echo ready; while :; do sleep 0.05; done"
    name = docker.start("box", "sh", "-c", script)
    docker("exec", name, "true")
    docker("stop", "--time", "20", name)
    assert docker.daemon.inspect(name, "{{.State.ExitCode}}") == "6"
    assert docker("logs", name) == "ready\nbye\n"


def test_events(docker: Docker) -> None:
    name = docker.start("box", "sleep", "100")
    docker("exec", name, "true")
    docker("kill", name)
    docker("wait", name)
    words = ("--since", "0", "--until", str(int(time.time()) + 1), "--filter", f"container={name}")
    said = docker("events", *words, "--format", "{{.Action}}").splitlines()
    assert [one for one in said if one in ("start", "kill", "die")] == ["start", "kill", "die"]
    assert "exec_die" in said
