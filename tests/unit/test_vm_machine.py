"""When an emulated machine is taken for one that hangs."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.vm import machine


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1"]) as process:
        yield process
        process.kill()


def beat(job: Path, ago: float) -> None:
    (job / "beat").touch()
    when = time.time() - ago
    os.utime(job / "beat", (when, when))


def test_one_that_says_that_it_works_is_waited_for(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    beat(tmp_path, machine.SILENT_SECONDS / 2)
    machine.wait(sleeper, tmp_path, 60)
    assert sleeper.returncode == 0


def test_one_that_has_said_nothing_for_long_hangs(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    beat(tmp_path, machine.SILENT_SECONDS + 1)
    with pytest.raises(machine.Hung):
        machine.wait(sleeper, tmp_path, 60)


def test_one_that_works_too_long_does_not_hang(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    beat(tmp_path, 0)
    with pytest.raises(AssertionError, match="not done in 0 s") as failed:
        machine.wait(sleeper, tmp_path, 0)
    assert not isinstance(failed.value, machine.Hung)
