"""A table of descriptors that is full: one clear error, and nothing half made."""

import subprocess
import sys

import pytest

from support.command import Onggi
from support.order import Order
from support.repository import ROOT
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-pids", "busybox")

FEWEST, MOST = 4, 32  # with less, no Python starts; with that many, everything works


def limited(onggi: Onggi, most: int, *words: str) -> "subprocess.CompletedProcess[str]":
    line = ["sh", "-c", f'ulimit -n {most} && exec "$@"', "sh", *onggi.line(*words)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)


@withstands("killed", "a full table of descriptors")
def test_a_command_with_few_descriptors(onggi: Onggi) -> None:
    onggi("bootstrap", "--quiet", "busybox")
    order = Order(onggi.root, "no container's ID begins so")
    codes = []
    for most in range(FEWEST, MOST + 1):
        done = limited(onggi, most, "run", "--rm", "-v", "/unnamed", "busybox", "echo", "well")
        codes.append(done.returncode)
        if done.returncode == 0:
            assert done.stdout == "well\n"
            break
        assert done.stderr.count("\n") == 1, done.stderr
        assert "too many open files" in done.stderr.lower()
        onggi("ps")
        order.wait()
    assert set(codes) == {125, 0}


@withstands("killed", "a full table of descriptors")
@pytest.mark.time_limit(180)
def test_a_resident_program_with_few_descriptors(onggi: Onggi) -> None:
    onggi("bootstrap", "--quiet", "busybox")
    script = str(ROOT / "tests" / "support" / "crowded.py")
    line = [sys.executable, script, str(ROOT / "src"), str(onggi.root)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    tries = [row.split() for row in done.stdout.splitlines()]
    assert [len(words) for words in tries] == [2] * len(tries), f"left behind: {tries}"
    outcomes = [outcome for _, outcome in tries]
    assert outcomes[-1] == "0"
    assert len(outcomes) > 3, "it never ran short of descriptors"
    Order(onggi.root, "no container's ID begins so").wait()
