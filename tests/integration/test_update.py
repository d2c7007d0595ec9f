"""Other limits for a container that exists: at once, for good, and all or none of them."""

import json
from pathlib import Path

import pytest

from support.box import Box, cgroup_file
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

MIB = 1 << 20


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


def test_a_container_that_runs_gets_them_at_once(box: Box) -> None:
    box.up("--name", "it", "-m", "64m", "--pids-limit", "50", "--cpus", "0.5")
    pid = box.pid("it")
    assert box("update", "-m", "100m", "--pids-limit", "70", "it").stdout == "it\n"
    assert memory(pid) == str(100 * MIB)
    assert value(pid, "pids.max", "pids.max") == "70"
    assert value(pid, "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"  # which stays
    box("update", "--cpus", "1.5", "it")
    assert value(pid, "cpu.cfs_quota_us", "cpu.max").split()[0] == "150000"
    box("update", "--cpu-quota", "20000", "it")  # the other way to say it
    assert value(pid, "cpu.cfs_quota_us", "cpu.max").split()[0] == "20000"
    for size in (32, 200, 48):  # down and up again, memory and swap in the right order
        box("update", "-m", f"{size}m", "it")
        assert memory(pid) == str(size * MIB)
    host = json.loads(box("inspect", "it").stdout)[0]["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["CpuQuota"]) == (48 * MIB, 70, 20000)


def test_it_has_them_when_it_is_started_again(box: Box) -> None:
    box("create", "--name", "it", "-m", "64m", "busybox", "sleep", "600")
    box("update", "-m", "80m", "it")
    box("start", "it")
    assert memory(box.pid("it")) == str(80 * MIB)
    box("update", "-m", "90m", "it")
    box("restart", "-t", "0", "it")
    assert memory(box.pid("it")) == str(90 * MIB)


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
def test_what_makes_no_sense_changes_nothing(box: Box, words: list[str], text: str) -> None:
    box.up("--name", "it", "-m", "64m")
    done = box.attempt("update", *words, "it")
    assert done.returncode == 1
    assert text in done.stderr
    assert memory(box.pid("it")) == str(64 * MIB)
    assert box.see("it", ".HostConfig.Memory") == str(64 * MIB)


def test_what_the_kernel_refuses_changes_nothing(box: Box) -> None:
    """Less memory than is in use: version 1 refuses it."""
    box.up("--name", "it", "-m", "64m", "--pids-limit", "50")
    pid = box.pid("it")
    filled = "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null"
    box("exec", "it", "sh", "-c", filled)
    done = box.attempt("update", "--pids-limit", "60", "-m", "8m", "it")
    if done.returncode == 0:
        # Version 2 takes any limit, and kills.
        assert Path("/sys/fs/cgroup/cgroup.controllers").exists()
        return
    assert len(done.stderr.splitlines()) == 1
    assert memory(pid) == str(64 * MIB)
    assert value(pid, "pids.max", "pids.max") == "50"
    assert box.see("it", ".HostConfig.PidsLimit") == "50"


def test_docker_words_that_are_not_there(box: Box) -> None:
    box.up("--name", "it")
    done = box.attempt("update", "--restart", "always", "it")
    assert done.returncode == 125
    assert "--restart always is not available" in done.stderr
    missing = box.attempt("update", "-m", "64m", "it", "no-such")
    assert (missing.returncode, missing.stdout) == (1, "it\n")
