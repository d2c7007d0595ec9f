"""What is left of `onggi-runtime` that was killed at random moments: nothing that stays."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import channel
from onggi.runtime.command import record
from onggi.runtime.steps import waiting
from support.oci_runtimes import OciRuntime
from support.patience import SLOWER
from support.requirements import requires

pytestmark = requires("root", "busybox")

ROUNDS = 25


@pytest.fixture
def runtime(root_dir: Path) -> Iterator[OciRuntime]:
    made = OciRuntime("onggi", root_dir)
    yield made
    made.clean()


def killed(runtime: OciRuntime, after: float, *words: str | Path) -> bool:
    """Kill a command some seconds after it began; tell whether it was still there."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(runtime.line(*words), stdin=quiet, stdout=quiet, stderr=quiet) as running:
        time.sleep(after)
        running.send_signal(signal.SIGKILL)
        return running.wait(timeout=10 * SLOWER) == -signal.SIGKILL


def took(runtime: OciRuntime, *words: str | Path) -> float:
    """Return how many seconds a command takes that is left alone."""
    began = time.monotonic()
    runtime(*words)
    return time.monotonic() - began


@pytest.mark.time_limit(120)
def test_create_is_killed(runtime: OciRuntime) -> None:
    chance = random.Random(7)
    name = runtime.identifier()
    bundle = runtime.bundle(name, "sleep", "100")
    words = ("create", "--bundle", bundle, name)
    whole = took(runtime, *words)
    runtime("delete", "--force", name)
    for _ in range(ROUNDS):
        killed(runtime, chance.uniform(0, whole), *words)
        assert_deletable(runtime, name)
        runtime.create(name, bundle)  # and the name is free
        runtime("delete", name)
    # Nor is anything left of those that had no name yet.
    assert not [path for path in runtime.root.iterdir() if path.name.startswith("~new")]


def assert_deletable(runtime: OciRuntime, name: str) -> None:
    runtime("list")
    runtime("delete", "--force", name)
    assert not runtime.remains(name)
    wait_until_empty(name)


def wait_until_empty(name: str) -> None:
    """Wait until no process of a container runs, whoever is to wait for it."""
    deadline = time.monotonic() + 10 * SLOWER
    while left := [pid for pid in filter(str.isdigit, os.listdir("/proc")) if is_of(pid, name)]:
        assert time.monotonic() < deadline, f"processes {left} are left"
        time.sleep(0.01)


def is_of(pid: str, name: str) -> bool:
    try:
        state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and name in Path("/proc", pid, "cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.time_limit(120)
def test_start_is_killed(runtime: OciRuntime) -> None:
    chance = random.Random(8)
    seen = set()
    for _ in range(ROUNDS):
        name = runtime.identifier()
        runtime.create(name, runtime.bundle(name, "sleep", "100"))
        killed(runtime, chance.uniform(0, 0.05), "start", name)
        now = runtime.state(name)["status"]
        seen.add(now)
        if now == "created":
            runtime("start", name)  # nothing had happened
            now = runtime.state(name)["status"]
        assert now in ("running", "stopped")
        assert_deletable(runtime, name)
    assert "running" in seen or "created" in seen


def take_socket(runtime: OciRuntime, name: str) -> int:
    """Do what `start` does first."""
    with record.hold(str(runtime.root), name) as folder:
        return folder.take_socket()


def test_start_is_killed_before_it_has_said_so(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "sleep", "100"))
    os.close(take_socket(runtime, name))
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)
    assert runtime.state(name)["status"] == "running"
    runtime("delete", "--force", name)


def test_start_is_killed_just_after_it_has_said_so(runtime: OciRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "sleep", "100"))
    fd = take_socket(runtime, name)
    channel.send(fd, waiting.GO)
    deadline = time.monotonic() + 10 * SLOWER
    while runtime.state(name)["status"] != "running":
        assert time.monotonic() < deadline
    os.close(fd)
    refused = runtime.attempt("start", name)
    assert refused.returncode == 1
    assert "already running" in refused.stderr
    runtime("delete", "--force", name)


@pytest.mark.time_limit(120)
def test_delete_is_killed(runtime: OciRuntime) -> None:
    chance = random.Random(9)
    for _ in range(ROUNDS):
        name = runtime.identifier()
        runtime.create(name, runtime.bundle(name, "sleep", "100"))
        killed(runtime, chance.uniform(0, 0.05), "delete", "--force", name)
        assert_deletable(runtime, name)
