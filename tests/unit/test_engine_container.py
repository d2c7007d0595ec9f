"""Signals to a container whose process ends at that very moment."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onggi.engine.container import Container
from onggi.errors import Conflict
from onggi.linux import process
from onggi.runtime import state


@pytest.fixture
def container(tmp_path: Path) -> Container:
    """Give a container whose first process is this one."""
    state.write(str(tmp_path), state.running(os.getpid()))
    containers = SimpleNamespace(path=lambda _: str(tmp_path))
    engine: Any = SimpleNamespace(store=SimpleNamespace(containers=containers, run=str(tmp_path)))
    return Container(engine, {"id": "c" * 64})


@pytest.mark.parametrize("call", ["pidfd_open", "pidfd_send_signal"])
def test_a_process_that_has_just_ended(
    container: Container, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def gone(*_: object) -> int:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(process, call, gone)
    with pytest.raises(Conflict, match="container cccccccccccc is not running"):
        container.kill(0)


def test_one_that_ends_before_it_is_waited_for(
    container: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is written down between the signal and the look at its state."""
    seen: list[int] = []

    def end(*_: object) -> None:
        before = state.read(str(tmp_path))
        state.write(str(tmp_path), state.ended(before, 0, oom_killed=False))
        seen.append(before.pid)

    monkeypatch.setattr(process, "pidfd_send_signal", end)
    container.record |= {"stop_signal": 15, "stop_seconds": 10}
    assert container.stop().code == 0
    assert seen == [os.getpid()]


def test_one_that_runs_gets_it(container: Container) -> None:
    container.kill(0)  # which only asks whether it could
