"""An ordinary user to whom a part of cgroup v2 was delegated, with the controllers that limit."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import cgroup
from support.ordinary import Ordinary, delegated, ordinary_user
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "user-namespaces", "newuidmap", "busybox", "cgroup2")

TOP = Path("/sys/fs/cgroup")


@pytest.fixture
def user() -> Iterator[Ordinary]:
    """Give an ordinary user who is in a part of the tree that has been delegated."""
    cgroup.write(str(TOP / "cgroup.subtree_control"), "+memory +pids +cpu +io")
    with ordinary_user() as user, delegated(user, TOP):
        user("bootstrap", "busybox")
        yield user


def test_limits_hold_as_roots_do(user: Ordinary) -> None:
    limits = ("--memory=64m", "--pids-limit=20", "--cpus=0.5")
    seen = user.sh("cd /sys/fs/cgroup; cat memory.max pids.max cpu.max", *limits)
    assert seen.splitlines() == [str(64 << 20), "20", "50000 100000"]
    done = user.attempt("run", "--rm", "--memory=16m", "busybox", "sh", "-c", "tail /dev/zero")
    assert done.returncode == 137
    forks = "for i in $(seq 40); do sleep 5 & done; wait"
    done = user.attempt("run", "--rm", "--pids-limit=10", "busybox", "sh", "-c", forks)
    assert "fork" in done.stderr


def test_processes_are_bounded_by_default(user: Ordinary) -> None:
    assert user.sh("cat /sys/fs/cgroup/pids.max") == "2048"


def test_use_is_measured_and_containers_rest(user: Ordinary) -> None:
    user("run", "-d", "--name", "one", "busybox", "sleep", "600")
    shown = user("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", "one").stdout
    assert shown.startswith("1 ")
    assert "--" not in shown
    user("pause", "one")
    user("unpause", "one")
    user("exec", "one", "true")
    user("rm", "-f", "one")


def test_info_says_what_can_be_limited(user: Ordinary) -> None:
    done = user("info", "-f", "{{.CgroupDriver}} {{.MemoryLimit}} {{.PidsLimit}} {{.CpuCfsQuota}}")
    assert done.stdout.split() == ["cgroupfs", "true", "true", "true"]


def test_builds_take_limits(user: Ordinary) -> None:
    (user.home / "Dockerfile").write_text("FROM busybox\nRUN cat /sys/fs/cgroup/memory.max\n")
    done = user("build", "--memory=32m", "-t", "x", user.home)
    assert str(32 << 20) in done.stdout + done.stderr
