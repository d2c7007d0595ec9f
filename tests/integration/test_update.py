"""Other limits for a container that exists: at once, for good, and all or none of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.box import Box, cgroup_file
from support.command import root_of_module
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

MIB = 1 << 20


@pytest.fixture(scope="module")
def jar() -> Iterator[Box]:
    command = Box(root_of_module("update"))
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


@pytest.fixture(autouse=True)
def _empty(jar: Box) -> Iterator[None]:
    yield
    jar.empty()


def value(pid: int, v1: str, v2: str) -> str:
    """Return what the kernel has in a control file of a process, by its name in either version."""
    for name in (v1, v2):
        try:
            return cgroup_file(pid, name).read_text().strip()
        except FileNotFoundError:
            continue
    raise AssertionError(f"neither {v1} nor {v2}")


def memory(pid: int) -> str:
    return value(pid, "memory.limit_in_bytes", "memory.max")


def test_a_container_that_runs_gets_them_at_once(jar: Box) -> None:
    jar.up("--name", "it", "-m", "64m", "--pids-limit", "50", "--cpus", "0.5")
    pid = jar.pid("it")
    assert jar("update", "-m", "100m", "--pids-limit", "70", "it").stdout == "it\n"
    assert memory(pid) == str(100 * MIB)
    assert value(pid, "pids.max", "pids.max") == "70"
    assert value(pid, "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"  # which stays
    jar("update", "--cpus", "1.5", "it")
    assert value(pid, "cpu.cfs_quota_us", "cpu.max").split()[0] == "150000"
    jar("update", "--cpu-quota", "20000", "it")  # the other way to say it
    assert value(pid, "cpu.cfs_quota_us", "cpu.max").split()[0] == "20000"
    for size in (32, 200, 48):  # down and up again, memory and swap in the right order
        jar("update", "-m", f"{size}m", "it")
        assert memory(pid) == str(size * MIB)
    host = json.loads(jar("inspect", "it").stdout)[0]["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["CpuQuota"]) == (48 * MIB, 70, 20000)


def test_it_has_them_when_it_is_started_again(jar: Box) -> None:
    jar("create", "--name", "it", "-m", "64m", "busybox", "sleep", "600")
    jar("update", "-m", "80m", "it")
    jar("start", "it")
    assert memory(jar.pid("it")) == str(80 * MIB)
    jar("update", "-m", "90m", "it")
    jar("restart", "-t", "0", "it")
    assert memory(jar.pid("it")) == str(90 * MIB)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-m", "1m"], "minimum memory limit allowed is 6MB"),
        (["-m", "80m", "--memory-swap", "70m"], "memory-swap limit should be larger"),
        (["--memory-reservation", "200m"], "less than the memory reservation"),
        (["--cpus", "0.5", "--cpu-quota", "1000"], "conflicting options"),
        (["-m", "lots"], "--memory: invalid size"),
    ],
)
def test_what_makes_no_sense_changes_nothing(jar: Box, words: list[str], text: str) -> None:
    jar.up("--name", "it", "-m", "64m")
    done = jar.attempt("update", *words, "it")
    assert done.returncode == 1
    assert text in done.stderr
    assert memory(jar.pid("it")) == str(64 * MIB)
    assert jar.see("it", ".HostConfig.Memory") == str(64 * MIB)


def test_what_the_kernel_refuses_changes_nothing(jar: Box) -> None:
    """Less memory than is in use: version 1 refuses it."""
    jar.up("--name", "it", "-m", "64m", "--pids-limit", "50")
    pid = jar.pid("it")
    filled = "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null"
    jar("exec", "it", "sh", "-c", filled)
    done = jar.attempt("update", "--pids-limit", "60", "-m", "8m", "it")
    if done.returncode == 0:
        # Version 2 takes any limit, and kills.
        assert Path("/sys/fs/cgroup/cgroup.controllers").exists()
        return
    assert len(done.stderr.splitlines()) == 1
    assert memory(pid) == str(64 * MIB)
    assert value(pid, "pids.max", "pids.max") == "50"
    assert jar.see("it", ".HostConfig.PidsLimit") == "50"


def test_docker_words_that_are_not_there(jar: Box) -> None:
    jar.up("--name", "it")
    done = jar.attempt("update", "--restart", "always", "it")
    assert done.returncode == 125
    assert "--restart always is not available" in done.stderr
    missing = jar.attempt("update", "-m", "64m", "it", "no-such")
    assert (missing.returncode, missing.stdout) == (1, "it\n")
