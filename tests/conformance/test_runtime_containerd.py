"""containerd, through its shim for runc, and buildah, with our runtime in runc's place."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.oci_runtimes import OURS, lay_out_rootfs
from support.patience import SLOWER
from support.requirements import requires

pytestmark = requires("root", "busybox")

NAMESPACE = f"trial-{os.getpid()}"  # containerd's word for whose containers they are


class Containerd:
    """A containerd of its own, and ctr, which speaks to it. Its socket's path must be short."""

    def __init__(self, place: Path) -> None:
        self._address = place / "c"
        self._rootfs = place / "rootfs"
        self._containers = place / "containers"
        lay_out_rootfs(self._rootfs)
        (place / "config.toml").write_text(
            f'version = 2\nroot = "{place}/root"\nstate = "{place}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{self._address}"\n'
        )
        self._log = (place / "log").open("w")
        self._process = subprocess.Popen(
            ["containerd", "--config", place / "config.toml"], stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + 20 * SLOWER
        while self.attempt("version").returncode:
            assert time.monotonic() < deadline, (place / "log").read_text()
            time.sleep(0.05)

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        line = ["ctr", "--address", str(self._address), "--namespace", NAMESPACE, *words]
        return subprocess.run(
            line, text=True, capture_output=True, timeout=60 * SLOWER, check=False
        )

    def __call__(self, *words: str) -> str:
        done = self.attempt(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, name: str, *args: str, options: tuple[str, ...] = ()) -> list[str]:
        ours = ["--runc-binary", str(OURS), "--runc-root", str(self._containers)]
        return ["run", *options, *ours, "--rootfs", str(self._rootfs), name, *args]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20 * SLOWER)
        self._log.close()
        top = Path("/sys/fs/cgroup")
        for parent in (*top.glob(f"*/{NAMESPACE}"), *top.glob(NAMESPACE)):
            parent.rmdir()  # which containerd leaves


@pytest.fixture(scope="module")
def containerd() -> Iterator[Containerd]:
    with tempfile.TemporaryDirectory(prefix="ctr-", dir="/dev/shm") as name:
        made = Containerd(Path(name))
        yield made
        made.stop()


@requires("containerd")
def test_containerd_runs_to_the_end(containerd: Containerd) -> None:
    words = containerd.run("one", "/bin/sh", "-c", "echo said; exit 4", options=("--rm",))
    done = containerd.attempt(*words)
    assert (done.returncode, done.stdout) == (4, "said\n")


@requires("containerd")
def test_containerd_says_what_cannot_be_started(containerd: Containerd) -> None:
    done = containerd.attempt(*containerd.run("none", "/bin/nothing", options=("--rm",)))
    assert done.returncode != 0
    assert 'exec: "/bin/nothing": no such file or directory' in done.stderr


@requires("containerd")
def test_a_life_under_containerd(containerd: Containerd) -> None:
    containerd(*containerd.run("two", "/bin/sleep", "100", options=("--detach",)))
    try:
        exec_words = (
            "task",
            "exec",
            "--exec-id",
            "more",
            "two",
            "/bin/sh",
            "-c",
            "echo in; exit 2",
        )
        done = containerd.attempt(*exec_words)
        assert (done.returncode, done.stdout) == (2, "in\n")
        containerd("task", "pause", "two")
        assert "PAUSED" in containerd("task", "ls")
        containerd("task", "resume", "two")
        assert "pids.current" in containerd("task", "metrics", "two")
    finally:
        containerd("task", "rm", "--force", "two")
        containerd("container", "rm", "two")


@requires("containerd", "criu-privileges")
def test_a_checkpoint_by_containerd(containerd: Containerd, tmp_path: Path) -> None:
    """Kept with its task going on, then with its end."""
    containerd(*containerd.run("three", "/bin/sleep", "100", options=("--detach", "--null-io")))
    try:
        words = ("task", "checkpoint", "--image-path", str(tmp_path / "images"))
        containerd(*words, "--work-path", str(tmp_path / "work"), "three")
        assert (tmp_path / "images" / "pstree.img").exists()
        assert "RUNNING" in containerd("task", "ls")
        name = containerd("task", "checkpoint", "--exit", "three").strip()
        assert name in containerd("image", "ls")
        assert "STOPPED" in containerd("task", "ls")
        containerd("image", "rm", name)
    finally:
        containerd("task", "rm", "--force", "three")
        containerd("container", "rm", "three")


@requires("containerd")
def test_a_checkpoint_that_fails(containerd: Containerd, tmp_path: Path) -> None:
    """There is no place for its images."""
    (tmp_path / "file").touch()
    containerd(*containerd.run("four", "/bin/sleep", "100", options=("--detach", "--null-io")))
    try:
        refused = containerd.attempt(
            "task", "checkpoint", "--image-path", f"{tmp_path}/file/x", "four"
        )
        assert refused.returncode != 0
        assert "checkpoint" in refused.stderr
        assert "RUNNING" in containerd("task", "ls")
    finally:
        containerd("task", "rm", "--force", "four")
        containerd("container", "rm", "four")


@requires("buildah")
def test_buildah_runs_a_step(tmp_path: Path) -> None:
    rootfs, conf = tmp_path / "rootfs", tmp_path / "containers.conf"
    lay_out_rootfs(rootfs)
    conf.write_text('[engine]\nlock_type = "file"\n')
    storage = ["--root", f"{tmp_path}/root", "--runroot", f"{tmp_path}/run"]

    def buildah(*words: str | Path) -> subprocess.CompletedProcess[str]:
        line = ["buildah", *storage, "--storage-driver", "vfs", *map(str, words)]
        env = {"CONTAINERS_CONF": str(conf), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run(
            line, env=env, text=True, capture_output=True, timeout=60 * SLOWER, check=False
        )

    # It raises limits by itself, for which a container host may lack the right.
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    name = buildah("from", *limits, "scratch").stdout.strip()
    assert buildah("add", name, rootfs, "/").returncode == 0
    how: list[str | Path] = ["--runtime", OURS, "--isolation", "oci", "--network", "none"]
    how += ["--runtime-flag", f"root={tmp_path}/containers"]
    how += ["--cap-drop", "CAP_SYS_RESOURCE"]
    done = buildah("run", *how, name, "sh", "-c", "echo in; exit 3")
    assert (done.returncode, done.stdout) == (3, "in\n"), done.stderr
    assert buildah("rm", name).returncode == 0
