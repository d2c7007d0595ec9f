"""What is written down of a container: as it was, by whom it is believed, and how it ended."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from onggi.errors import Corrupt
from onggi.oci import jsontext
from onggi.oci.mount import Mount
from onggi.runtime import order, state
from onggi.runtime.order import Order, Watch
from onggi.runtime.state import CREATED, EXITED, RUNNING, UNKNOWN_EXIT, State


def own(**differences: Any) -> State:
    """Return the state of a container whose first process is this one."""
    running = state.running(os.getpid())
    return State(**{**running.to_json(), **differences})


class TestState:
    def test_before_the_first_start_there_is_none(self, tmp_path: Path) -> None:
        found = state.read(str(tmp_path))
        assert (found.status, found.pid, found.is_alive()) == (CREATED, 0, False)

    def test_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        written = own(error="caf\udce9", oom_killed=True, exit_code=137, signal=9)
        state.write(str(tmp_path), written)
        assert state.read(str(tmp_path)).to_json() == written.to_json()
        assert os.listdir(tmp_path) == [state.FILE]

    def test_members_of_a_later_version_do_no_harm(self, tmp_path: Path) -> None:
        members = {**own().to_json(), "colour": "brown"}
        (tmp_path / state.FILE).write_text(jsontext.dumps(members))
        assert state.read(str(tmp_path)).status == RUNNING

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "7", '{"pid": "1"}', '{"oom_killed": 1}', "[" * 100_000, "\xff"]
    )
    def test_what_nobody_wrote_is_corrupt(self, tmp_path: Path, text: str) -> None:
        (tmp_path / state.FILE).write_text(text, encoding="latin-1")
        with pytest.raises(Corrupt, match=r"state\.json is not a container's state"):
            state.read(str(tmp_path))

    def test_a_process_is_the_one_that_was_started(self) -> None:
        assert own().is_alive()
        assert not own(start_ticks=own().start_ticks - 1).is_alive()  # its PID is another's now
        assert not own(status=EXITED).is_alive()
        assert not own(pid=2**22 + 1).is_alive()

    @pytest.mark.parametrize(
        ("status", "code", "number"),
        [(0, 0, 0), (7 << 8, 7, 0), (255 << 8, 255, 0), (9, 137, 9), (11 | 0x80, 139, 11)],
    )
    def test_how_it_ended(self, status: int, code: int, number: int) -> None:
        before = own()
        final = state.ended(before, status, oom_killed=number == signal.SIGKILL)
        assert (final.status, final.exit_code, final.signal) == (EXITED, code, number)
        assert final.oom_killed == (number == 9)
        assert final.started_ns == before.started_ns <= final.finished_ns <= time.time_ns()
        assert final.pid == 0

    def test_an_end_that_nobody_saw(self) -> None:
        final = state.lost(own())
        assert (final.status, final.exit_code, final.signal) == (EXITED, UNKNOWN_EXIT, 0)
        assert "monitor was gone" in final.error


class TestOrder:
    def test_is_the_same_after_a_journey_as_json(self) -> None:
        watch = Watch(
            directory="/c/1",
            run_directory="/r/1",
            cgroups=("/sys/fs/cgroup/a", "/sys/fs/cgroup/b"),
            interactive=True,
            terminal=True,
            tied=True,
            after=("remove", "/var/lib/onggi", "1"),
        )
        options = ("lowerdir=/a", "upperdir=/caf\udce9")
        asked = Order(
            identifier="1",
            config={"process": {"args": ["echo", "caf\udce9", "\ud83d"]}},
            rootfs=[Mount(type="overlay", source="overlay", target="/x", options=options)],
            watch=watch,
            filter_path="/f",
            filter_flags=4,
            init=True,
            settle=True,
        )
        again = order.from_json(jsontext.loads(jsontext.dumps(asked.to_json())))
        for name in Order.__slots__:
            if name != "watch":
                assert getattr(again, name) == getattr(asked, name), name
        for name in Watch.__slots__:
            assert getattr(again.watch, name) == getattr(watch, name), name
