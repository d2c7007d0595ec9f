"""Signals go to who is a member, not to who has got a member's number."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from onggi.linux.members import signal_each


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def test_a_member_is_signalled(process: subprocess.Popen[bytes]) -> None:
    signal_each([process.pid], signal.SIGTERM, lambda: [process.pid])
    assert process.wait(10) == -signal.SIGTERM


def test_who_has_only_the_number_is_not(process: subprocess.Popen[bytes]) -> None:
    signal_each([process.pid], signal.SIGKILL, list)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)


def test_ended_ones_do_no_harm() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    signal_each([process.pid], signal.SIGKILL, lambda: [process.pid])


def test_more_than_are_held_at_once() -> None:
    processes = [subprocess.Popen(["sleep", "1000"]) for _ in range(140)]
    pids = [one.pid for one in processes]
    signal_each(pids, signal.SIGKILL, lambda: pids)
    assert {one.wait(10) for one in processes} == {-signal.SIGKILL}
