"""podman with our runtime in runc's place: what its users do most.

Its locks are files in its own directory and its network is none, so that nothing of it is shared
with another podman of the machine.
"""

import json
import os
import re
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.oci_runtimes import lay_out_rootfs, wait_for_file
from support.patience import SLOWER
from support.podman import ORDINARY, Podman
from support.requirements import requires

pytestmark = requires("root", "busybox", "podman")


@pytest.fixture(scope="module")
def _store() -> Iterator[Podman]:
    with tempfile.TemporaryDirectory(prefix="podman-", dir="/dev/shm") as name:
        place = Path(name)
        podman = Podman(place)
        lay_out_rootfs(place / "rootfs")
        subprocess.run(
            ["tar", "-C", place / "rootfs", "-cf", place / "rootfs.tar", "."], check=True
        )
        podman("import", place / "rootfs.tar", "box")
        yield podman
        podman.clean()


@pytest.fixture
def podman(_store: Podman) -> Iterator[Podman]:
    yield _store
    _store.remove_containers()


def test_run(podman: Podman) -> None:
    assert podman.run("box", "echo", "hello") == "hello\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [(["sh", "-c", "exit 9"], 9), (["nothing"], 127), (["/etc"], 126), (["/bin/nothing"], 127)],
)
def test_exit_codes(podman: Podman, words: list[str], code: int) -> None:
    done = podman.attempt("run", "--rm", *ORDINARY, "box", *words)
    assert done.returncode == code, done.stderr


def test_a_life(podman: Podman) -> None:
    name = f"c{uuid.uuid4().hex[:8]}"
    podman("run", "--detach", "--name", name, *ORDINARY, "box", "sh", "-c", "echo said; sleep 100")
    assert podman("exec", name, "sh", "-c", "echo inside; id -u").split() == ["inside", "0"]
    assert podman.attempt("exec", name, "sh", "-c", "exit 5").returncode == 5
    assert podman.attempt("exec", name, "nothing").returncode == 127
    podman("pause", name)
    assert (
        "Paused" in podman("ps", "--format", "{{.Status}}", "--all")
        or podman("inspect", "--format", "{{.State.Status}}", name).strip() == "paused"
    )
    podman("unpause", name)
    assert "sleep" in podman("top", name)
    podman("update", "--memory", "80m", name)
    assert podman("logs", name) == "said\n"
    podman("stop", "--time", "0", name)
    assert podman("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "137"
    podman("start", name)
    podman("restart", "--time", "0", name)
    assert podman("inspect", "--format", "{{.State.Status}}", name).strip() == "running"
    podman("kill", name)
    podman("rm", "--force", "--time", "0", name)


def test_made_first_and_started_later(podman: Podman) -> None:
    name = f"c{uuid.uuid4().hex[:8]}"
    podman("create", "--name", name, *ORDINARY, "box", "sh", "-c", "echo started; sleep 100")
    assert podman("inspect", "--format", "{{.State.Status}}", name).strip() == "created"
    podman("start", name)
    assert podman("exec", name, "echo", "inside") == "inside\n"
    assert podman("logs", name) == "started\n"


def test_a_terminal(podman: Podman) -> None:
    assert podman.run("--tty", "box", "tty").strip() == "/dev/pts/0"


def test_rights_and_users(podman: Podman) -> None:
    said = podman.run("--user", "1000:1001", "--cap-drop", "ALL", "box", "cat", "/proc/self/status")
    assert re.search(r"^Uid:\s1000\s1000", said, re.MULTILINE)
    assert re.search(r"^CapBnd:\s0{16}$", said, re.MULTILINE)
    assert re.search(r"^Seccomp:\s2$", said, re.MULTILINE)
    said = podman.run("--privileged", "box", "cat", "/proc/self/status")
    assert re.search(r"^Seccomp:\s0$", said, re.MULTILINE)


def test_limits(podman: Podman) -> None:
    words = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "77"]
    first = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
    second = "cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max"  # where there is v2 alone
    script = f"{first} 2>/dev/null || {second}"
    assert podman.run(*words, "box", "sh", "-c", script).split() == ["77", str(64 << 20)]


def test_mounts(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from outside")
    words = ["--read-only", "--tmpfs", "/scratch", "--volume", f"{tmp_path}:/given:ro"]
    script = "cat /given/file; touch /scratch/x && ! touch /y && ! touch /given/z"
    assert podman.run(*words, "box", "sh", "-c", script) == "from outside"


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts", "cgroupns"])
def test_namespaces_of_the_host(podman: Podman, kind: str) -> None:
    link = f"/proc/self/ns/{'cgroup' if kind == 'cgroupns' else kind}"
    said = podman.run(f"--{kind}", "host", "box", "busybox", "readlink", link)
    assert said.strip() == os.readlink(link)


@pytest.mark.parametrize(("option", "kind"), [("ipc", "ipc"), ("network", "net"), ("pid", "pid")])
def test_a_namespace_of_another_container(podman: Podman, option: str, kind: str) -> None:
    podman("run", "--detach", "--name", "first", *ORDINARY, "box", "sleep", "100")
    outside = podman("inspect", "--format", "{{.State.Pid}}", "first").strip()
    options = [
        word for word in ORDINARY if option != "network" or word not in ("--network", "none")
    ]
    words = [*options, f"--{option}", "container:first"]
    said = podman("run", "--rm", *words, "box", "busybox", "readlink", f"/proc/self/ns/{kind}")
    assert said.strip() == os.readlink(f"/proc/{outside}/ns/{kind}")


def test_hooks(podman: Podman, tmp_path: Path) -> None:
    directory, file = tmp_path / "hooks", tmp_path / "told"
    directory.mkdir()
    (directory / "note.json").write_text(
        json.dumps(
            {
                "version": "1.0.0",
                "hook": {"path": "/bin/sh", "args": ["sh", "-c", f"cat > {file}"]},
                "when": {"always": True},
                "stages": ["createRuntime"],
            }
        )
    )
    podman("--hooks-dir", directory, "run", "--rm", *ORDINARY, "box", "true")
    wait_for_file(file)
    assert '"status":"creating"' in file.read_text()


COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"


def counted(podman: Podman, name: str, least: int) -> int:
    """Wait until a container has counted so far; return how far."""
    deadline = time.monotonic() + 20 * SLOWER
    while not (said := podman("logs", name).split()) or int(said[-1]) < least:
        assert time.monotonic() < deadline, f"{name} does not count to {least}: {said[-3:]}"
    return int(said[-1])


@requires("criu")
def test_a_checkpoint(podman: Podman) -> None:
    podman("run", "--detach", "--name", "counting", *ORDINARY, "box", "sh", "-c", COUNT)
    counted(podman, "counting", 5)
    podman("container", "checkpoint", "counting")
    assert podman("inspect", "--format", "{{.State.Status}}", "counting").strip() == "exited"
    so_far = counted(podman, "counting", 5)
    podman("container", "restore", "counting")
    counted(podman, "counting", so_far + 5)
    assert podman("logs", "counting").split().count("1") == 1
    assert podman("exec", "counting", "echo", "inside") == "inside\n"


@requires("criu")
def test_a_checkpoint_that_is_taken_elsewhere(podman: Podman, tmp_path: Path) -> None:
    podman("run", "--detach", "--name", "counting", *ORDINARY, "box", "sh", "-c", COUNT)
    so_far = counted(podman, "counting", 5)
    archive = tmp_path / "checkpoint.tar.gz"
    podman("container", "checkpoint", "--leave-running", "--export", archive, "counting")
    counted(podman, "counting", so_far + 5)
    podman("rm", "--force", "--time", "0", "counting")
    podman("container", "restore", "--import", archive, "--name", "other")
    counted(podman, "other", so_far)
    assert podman("logs", "other").split().count("1") == 1


@pytest.fixture
def pod(podman: Podman) -> Iterator[str]:
    """Give the name of a pod whose first container has the namespaces of the others."""
    if not Path("/sys/fs/cgroup/memory").is_dir():
        pytest.skip("podman 4.3 forbids a pod's cgroup of v2 all devices: runc and crun fail, too")
    first = ("--infra-image", "box", "--infra-command", "/bin/sleep 100")
    podman("pod", "create", "--name", "jars", *first, *ORDINARY, "--share", "ipc,net,uts,pid")
    yield "jars"
    podman("pod", "rm", "--force", "--time", "0", "jars")


def test_a_pod(podman: Podman, pod: str) -> None:
    podman("run", "--detach", "--pod", pod, "--name", "one", "box", "sleep", "99")
    script = "for i in ipc net uts pid mnt; do busybox readlink /proc/self/ns/$i; done"
    here = podman("run", "--rm", "--pod", pod, "box", "sh", "-c", script).split()
    there = podman("exec", "one", "sh", "-c", script).split()
    assert here[:4] == there[:4]
    assert here[4] != there[4]
    said = podman("run", "--rm", "--pod", pod, "box", "busybox", "ps")
    assert "sleep 99" in said
    assert "/bin/sleep 100" in said


def test_the_life_of_a_pod(podman: Podman, pod: str) -> None:
    status = ("pod", "inspect", "--format", "{{.State}}", pod)
    podman("run", "--detach", "--pod", pod, "--name", "one", "box", "sleep", "99")
    podman("pod", "pause", pod)
    assert podman(*status).strip() == "Paused"
    podman("pod", "unpause", pod)
    assert podman("exec", "one", "echo", "in") == "in\n"
    podman("pod", "stop", "--time", "0", pod)
    assert podman(*status).strip() == "Exited"
    podman("pod", "start", pod)
    assert podman(*status).strip() == "Running"
    assert podman("exec", "one", "echo", "in") == "in\n"


@requires("tini")
def test_an_init(podman: Podman) -> None:
    words = ("--init", "--init-path", "/usr/bin/tini-static")
    script = "cat /proc/1/comm; [ $$ != 1 ] && exit 3"
    done = podman.attempt("run", "--rm", *words, *ORDINARY, "box", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (3, "podman-init\n")


def test_input_and_a_later_attachment(podman: Podman) -> None:
    podman("run", "--detach", "--interactive", "--name", "echo", *ORDINARY, "box", "cat")
    line = podman.line("attach", "echo")
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attached:
        assert attached.stdin is not None
        assert attached.stdout is not None
        attached.stdin.write(b"given\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"given\n"
        podman("kill", "echo")


def test_files_in_and_out(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given")
    podman("run", "--detach", "--name", "keeper", *ORDINARY, "box", "sleep", "100")
    podman("cp", tmp_path / "given", "keeper:/tmp/there")
    assert podman("exec", "keeper", "cat", "/tmp/there") == "given"
    podman("cp", "keeper:/tmp/there", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "given"
    assert "A /tmp/there" in podman("diff", "keeper")


def test_exec_as_another(podman: Podman) -> None:
    podman("run", "--detach", "--name", "keeper", *ORDINARY, "box", "sleep", "100")
    words = ("--user", "7:8", "--workdir", "/tmp", "--env", "A=2", "keeper")
    said = podman("exec", *words, "sh", "-c", "echo $A; pwd; id -u; id -g")
    assert said.split() == ["2", "/tmp", "7", "8"]
    assert podman("exec", "--tty", "keeper", "tty").strip() == "/dev/pts/0"


def test_what_is_healthy(podman: Podman) -> None:
    health = ("--health-cmd", "test -e /tmp/well", "--health-interval", "disable")
    podman("run", "--detach", "--name", "keeper", *health, *ORDINARY, "box", "sleep", "100")
    assert podman.attempt("healthcheck", "run", "keeper").returncode == 1
    podman("exec", "keeper", "touch", "/tmp/well")
    podman("healthcheck", "run", "keeper")


def test_a_build(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("FROM box\nRUN echo built > /etc/made\n")
    network = ("--network", "none", "--cgroup-parent", "/onggi-test-podman")
    podman("build", "--isolation", "oci", *network, "--tag", "made", tmp_path)
    assert podman.run("made", "cat", "/etc/made") == "built\n"
    podman("rmi", "made")
