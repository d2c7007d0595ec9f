"""What is said where the kernel lacks something: run by tests/vm, each where just that is missing.

One line that names it, Docker's exit code, and nothing left behind, which the leak check holds.
"""

import subprocess
import tempfile
from pathlib import Path

import pytest

from onggi.linux import probe
from support.box import Box
from support.command import Words
from support.requirements import requires

pytestmark = requires("root", "busybox")

NOT_STARTED = "onggi: cannot start the container: "
DISCARDED = "WARNING: your kernel does not support {} or the cgroup is not mounted; {} discarded\n"


def refused(box: Box, *options: Words) -> str:
    """Return the one line with which `run` refuses."""
    done = box.attempt("run", "--rm", *options, "busybox", "echo", "started")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.count("\n") == 1
    assert box("ps", "-aq").stdout == ""
    return done.stderr


def warned(box: Box, *options: Words) -> str:
    """Return what `run` says beside doing it."""
    done = box("run", "--rm", *options, "busybox", "echo", "started")
    assert done.stdout == "started\n"
    return done.stderr


def build(box: Box, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    return box.attempt("build", "-q", str(context))


def test_overlayfs(box: Box, tmp_path_factory: pytest.TempPathFactory) -> None:
    said = "no overlayfs: containers can't have layers"
    assert refused(box).startswith(NOT_STARTED + said)
    assert "onggi: no overlayfs: images can't be built" in build(box, tmp_path_factory).stderr
    assert f"WARNING: {said}\n" in box("info").stderr


def test_mount_setattr(box: Box) -> None:
    said = "no mount_setattr (Linux 5.12): containers can't start"
    assert refused(box).startswith(NOT_STARTED + said)
    assert f"WARNING: {said}\n" in box("info").stderr


def test_the_memory_controller(box: Box) -> None:
    assert warned(box) == ""
    discarded = DISCARDED.format("memory limit capabilities", "limitation")
    assert warned(box, "--memory", "64m") == discarded
    assert "WARNING: no memory controller: --memory can't be used\n" in box("info").stderr


def test_the_pids_controller(box: Box, tmp_path_factory: pytest.TempPathFactory) -> None:
    discarded = DISCARDED.format("PIDs limit capabilities", "PIDs limit")
    assert warned(box) == discarded
    assert warned(box, "--pids-limit", "9") == discarded
    assert build(box, tmp_path_factory).returncode == 0


def test_all_cgroups(box: Box) -> None:
    said = "neither cgroup v2 nor v1's devices controller is mounted"
    assert refused(box).endswith(f"{said}\n") or said in refused(box)


def test_user_namespaces(box: Box) -> None:
    assert not probe.probe_user_namespaces()
    assert warned(box) == ""
    said = "no user namespaces: --userns=auto can't be used"
    assert refused(box, "--userns", "auto").startswith(NOT_STARTED + said)


def test_idmapped_mounts_of_tmpfs() -> None:
    box = Box(Path(tempfile.mkdtemp(prefix="onggi-test-", dir="/dev/shm")))
    box("bootstrap", "busybox")
    assert "this filesystem can't show other owners" in refused(box, "--userns", "auto")
    box("system", "reset", "--force")
