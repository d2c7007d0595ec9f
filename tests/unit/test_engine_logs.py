"""Reading logs: the last lines, spans of time, several files, and following while they grow."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onggi.engine import logs
from onggi.runtime import log
from onggi.runtime.log import LogWriter
from onggi.runtime.state import EXITED, RUNNING, State
from support.logs import files

HOUR_NS = 3600 * 10**9


def container(directory: Path, state: State | None = None) -> Any:
    store = SimpleNamespace(run=str(directory / "run"))
    ended = state or State(status=EXITED)
    return SimpleNamespace(directory=str(directory), id="c", store=store, state=ended)


def texts(directory: Path, **how: Any) -> list[bytes]:
    return [entry.data for entry in logs.read(container(directory), **how)]


def write(directory: Path, *pieces: tuple[bytes, bytes]) -> None:
    writer = LogWriter(str(directory))
    for stream, data in pieces:
        writer.write(stream, data)


def lines(count: int) -> list[bytes]:
    return [b"line %d\n" % number for number in range(count)]


def test_there_may_be_no_log_yet(tmp_path: Path) -> None:
    assert texts(tmp_path) == []
    assert texts(tmp_path, tail=3) == []
    assert texts(tmp_path, follow=True) == []


def test_everything_in_order(tmp_path: Path) -> None:
    write(tmp_path, (b"stdout", b"one\ntwo\n"), (b"stderr", b"thr"), (b"stdout", b"four\n"))
    found = list(logs.read(container(tmp_path)))
    assert [entry.data for entry in found] == [b"one\n", b"two\n", b"thr", b"four\n"]
    assert [entry.stream for entry in found] == ["stdout", "stdout", "stderr", "stdout"]


@pytest.mark.parametrize("tail", [0, 1, 2, 9, 10, 11, 5000])
def test_the_last_lines(tmp_path: Path, tail: int) -> None:
    write(tmp_path, *((b"stdout", line) for line in lines(10)))
    assert texts(tmp_path, tail=tail) == (lines(10)[-tail:] if tail else [])


@pytest.mark.parametrize("tail", [1, 700, 2000, 4000, 4001])
def test_the_last_lines_of_a_long_log(tmp_path: Path, tail: int) -> None:
    long = [b"%d " % number + b"x" * (number % 200) + b"\n" for number in range(4000)]
    write(tmp_path, (b"stdout", b"".join(long)))
    assert (tmp_path / log.FILE).stat().st_size > 4 * logs._CHUNK
    assert texts(tmp_path, tail=tail) == long[-tail:]


def test_a_line_in_pieces_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, (b"stdout", b"a\n"), (b"stdout", b"b"), (b"stdout", b"c"), (b"stdout", b"d\n"))
    assert texts(tmp_path, tail=1) == [b"b", b"c", b"d\n"]
    assert texts(tmp_path, tail=2) == [b"a\n", b"b", b"c", b"d\n"]


def test_a_line_without_an_end_counts(tmp_path: Path) -> None:
    write(tmp_path, (b"stdout", b"a\n"), (b"stdout", b"b\n"), (b"stdout", b"$ "))
    assert texts(tmp_path, tail=1) == [b"$ "]
    assert texts(tmp_path, tail=2) == [b"b\n", b"$ "]


def test_what_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, (b"stdout", b"a\nb\n"))
    with open(tmp_path / log.FILE, "ab") as file:
        file.write(b"2026-01-31T08:30:00.0000")
    assert texts(tmp_path) == [b"a\n", b"b\n"]
    assert texts(tmp_path, tail=1) == [b"b\n"]


def test_files_that_were_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_BYTES", 400)
    write(tmp_path, *((b"stdout", line) for line in lines(30)))
    assert len(files(str(tmp_path))) > 2
    kept = texts(tmp_path)
    assert kept == lines(30)[-len(kept) :]
    for tail in range(len(kept) + 1):
        assert texts(tmp_path, tail=tail) == (kept[-tail:] if tail else [])


def test_spans_of_time(tmp_path: Path) -> None:
    stamps = [log.stamp(hour * HOUR_NS) for hour in range(1, 5)]
    entries = b"".join(b"%s stdout F %d\n" % (when, n) for n, when in enumerate(stamps, 1))
    (tmp_path / log.FILE).write_bytes(entries)
    assert texts(tmp_path, since=2 * HOUR_NS) == [b"2\n", b"3\n", b"4\n"]
    assert texts(tmp_path, until=2 * HOUR_NS) == [b"1\n", b"2\n"]
    assert texts(tmp_path, since=2 * HOUR_NS, until=3 * HOUR_NS) == [b"2\n", b"3\n"]
    assert texts(tmp_path, tail=2, until=3 * HOUR_NS) == [b"3\n"]


class Alive(State):
    """The state of a container whose process lives until it is said not to."""

    def is_alive(self) -> bool:
        return True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LOOK_AGAIN_SECONDS", 0.001)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("most_bytes", [400, 1 << 20])
def test_follows_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr(log, "MOST_BYTES", most_bytes)
    monkeypatch.setattr(log, "OLDER_FILES", 100)
    growing = container(tmp_path, Alive(status=RUNNING))

    def grow() -> None:
        writer = LogWriter(str(tmp_path))
        for line in lines(60):
            writer.write(b"stdout", line)
            time.sleep(0.001)
        growing.state = State(status=EXITED)

    writer = threading.Thread(target=grow)
    write(tmp_path)
    writer.start()
    found = [entry.data for entry in logs.read(growing, follow=True)]
    writer.join()
    assert found == lines(60)


@pytest.mark.usefixtures("quick")
def test_follows_what_has_not_been_written_to_yet(tmp_path: Path) -> None:
    quiet = container(tmp_path, Alive(status=RUNNING))
    following: Iterator[Any] = logs.read(quiet, follow=True)
    writer = threading.Timer(0.1, write, (tmp_path, (b"stdout", b"at last\n")))
    writer.start()
    assert next(following).data == b"at last\n"
    writer.join()
    quiet.state = State(status=EXITED)
    assert list(following) == []


def test_a_reader_that_stood_still_over_rotations_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MOST_BYTES", 200)
    growing = container(tmp_path, Alive(status=RUNNING))
    written = lines(13)
    writer = LogWriter(str(tmp_path))
    for line in written[:2]:
        writer.write(b"stdout", line)
    following: Iterator[Any] = logs.read(growing, follow=True)
    found = [next(following).data]
    for line in written[2:]:
        writer.write(b"stdout", line)
    assert os.path.exists(tmp_path / f"{log.FILE}.2")
    growing.state = State(status=EXITED)
    found += [entry.data for entry in following]
    assert found == written


@pytest.mark.usefixtures("quick")
def test_last_words_in_another_file_are_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MOST_BYTES", 200)

    class Ending:
        """A container that fills some files just before its end, while nobody looks."""

        directory = str(tmp_path)
        looks = 0

        @property
        def state(self) -> State:
            self.looks += 1
            if self.looks < 4:
                return Alive(status=RUNNING)
            if self.looks == 4:
                write(tmp_path, *((b"stdout", line) for line in lines(13)[1:]))
            return State(status=EXITED)

    write(tmp_path, (b"stdout", lines(1)[0]))
    ending: Any = Ending()
    assert [entry.data for entry in logs.read(ending, follow=True)] == lines(13)


@pytest.mark.parametrize("tail", [None, 5])
def test_a_reading_while_files_are_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: int | None
) -> None:
    monkeypatch.setattr(log, "MOST_BYTES", 300)
    over = threading.Event()

    def grow() -> None:
        writer = LogWriter(str(tmp_path))
        number = 0
        while not over.is_set():
            writer.write(b"stdout", b"line %d\n" % number)
            number += 1

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(300):
            found = [int(text.removeprefix(b"line ")) for text in texts(tmp_path, tail=tail)]
            assert found == list(range(found[0], found[0] + len(found))) if found else True
    finally:
        over.set()
        writer.join()


@pytest.mark.usefixtures("quick")
def test_follows_no_further_than_asked(tmp_path: Path) -> None:
    write(tmp_path, (b"stdout", b"a\n"))
    running = container(tmp_path, Alive(status=RUNNING))
    until = time.time_ns() + 50_000_000
    assert [entry.data for entry in logs.read(running, follow=True, until=until)] == [b"a\n"]


@pytest.mark.usefixtures("quick")
def test_stops_at_a_container_that_nobody_looks_after(tmp_path: Path) -> None:
    write(tmp_path, (b"stdout", b"a\n"))
    dead = container(tmp_path, State(status=RUNNING, pid=0, start_ticks=1))
    assert [entry.data for entry in logs.read(dead, follow=True)] == [b"a\n"]


def test_a_reader_may_leave(tmp_path: Path) -> None:
    write(tmp_path, (b"stdout", b"a\nb\n"))
    following: Iterator[Any] = logs.read(container(tmp_path, Alive(status=RUNNING)), follow=True)
    assert next(following).data == b"a\n"
    del following


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    written=st.lists(
        st.tuples(st.sampled_from([b"stdout", b"stderr"]), st.sampled_from([b"a", b"\n", b"bc\nd"]))
    ),
    tail=st.integers(0, 8),
)
def test_a_tail_is_an_end_of_the_whole(
    tmp_path: Path, written: list[tuple[bytes, bytes]], tail: int
) -> None:
    for path in files(str(tmp_path)):
        Path(path).unlink()
    write(tmp_path, *written)
    whole, some = texts(tmp_path), texts(tmp_path, tail=tail)
    assert some == (whole[-len(some) :] if some else [])
    assert sum(data.endswith(b"\n") for data in some) <= tail


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "unwatched"])
def test_what_is_written_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    """Neither waits for the next look around, and a user who may watch no more is served too."""
    monkeypatch.setattr(logs, "_LOOK_AGAIN_SECONDS", HOUR_NS / 10**9)
    if not watched:
        monkeypatch.setattr(logs, "_watch", lambda _directory: None)
    told: Iterator[Any] = logs.read(container(tmp_path, Alive(status=RUNNING)), follow=True)
    for line in lines(3):
        writer = threading.Timer(0.05, write, (tmp_path, (b"stdout", line)))
        writer.start()
        assert next(told).data == line
        writer.join()
