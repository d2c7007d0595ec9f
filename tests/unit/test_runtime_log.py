"""Writing a container's log: whole lines and pieces, files that are full, disks that are."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onggi.runtime import log
from onggi.runtime.log import LogWriter
from support.logs import files

STREAMS = (b"stdout", b"stderr")


def raw(directory: Path) -> list[bytes]:
    """Return all lines of the log as they lie there, oldest first, without their times."""
    lines: list[bytes] = []
    for path in files(str(directory)):
        lines += Path(path).read_bytes().splitlines(keepends=True)
    return [line.split(b" ", 1)[1] for line in lines]


def read(directory: Path, stream: str) -> bytes:
    lines: list[bytes] = []
    for path in files(str(directory)):
        lines += Path(path).read_bytes().split(b"\n")[:-1]
    found = log.entries(iter(line + b"\n" for line in lines))
    return b"".join(entry.data for entry in found if entry.stream == stream)


@pytest.fixture
def no_more_room() -> Iterator[None]:
    """Let no file grow beyond a thousand bytes; then write(2) takes a part, and then nothing."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def make_room() -> None:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))


def test_pieces_are_marked(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path))
    for data in (b"one\ntwo\nthr", b"ee", b"\n", b"\n$ "):
        writer.write(b"stdout", data)
    writer.write(b"stderr", b"four\n")
    assert raw(tmp_path) == [
        b"stdout F one\n",
        b"stdout F two\n",
        b"stdout P thr\n",
        b"stdout P ee\n",
        b"stdout F \n",
        b"stdout F \n",
        b"stdout P $ \n",
        b"stderr F four\n",
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pieces=st.lists(st.tuples(st.sampled_from(STREAMS), st.binary(min_size=1))))
def test_any_bytes_come_back(tmp_path: Path, pieces: list[tuple[bytes, bytes]]) -> None:
    for path in files(str(tmp_path)):
        Path(path).unlink()
    writer = LogWriter(str(tmp_path))
    for stream, data in pieces:
        writer.write(stream, data)
    for stream in STREAMS:
        written = b"".join(data for name, data in pieces if name == stream)
        assert read(tmp_path, stream.decode()) == written


@pytest.mark.parametrize("cut", range(1, 44))
def test_what_a_crash_cut_short_spoils_nothing_else(tmp_path: Path, cut: int) -> None:
    LogWriter(str(tmp_path)).write(b"stdout", b"one\ntwo\n")
    path = tmp_path / log.FILE
    second = len(path.read_bytes()) // 2
    os.truncate(path, second + cut)
    LogWriter(str(tmp_path)).write(b"stdout", b"three\n")
    assert read(tmp_path, "stdout") == b"one\nthree\n"


def test_half_an_entry_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    LogWriter(str(tmp_path)).write(b"stdout", b"one\n")
    with open(tmp_path / log.FILE, "ab") as file:
        file.write(b"x" * 3 * log._CHUNK)
    LogWriter(str(tmp_path)).write(b"stdout", b"two\n")
    assert read(tmp_path, "stdout") == b"one\ntwo\n"


def test_nothing_but_half_an_entry(tmp_path: Path) -> None:
    (tmp_path / log.FILE).write_bytes(b"2026-01-31T08:30:00.0000")
    LogWriter(str(tmp_path)).write(b"stdout", b"one\n")
    assert raw(tmp_path) == [b"stdout F one\n"]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"\0" * 100 + b"\n",
        b"2026-01-31T08:30:00.123456789Z stdout F\n",
        b"2026-01-31T08:30:00.123456789Z stdout X text\n",
        b"2026-01-31T08:30:00.123456789Z stdin F text\n",
        b"2026-01-31T08:30:00Z stdout F text\n",
        b"2026-01-31 08:30:00.123456789Z stdout F text\n",
        b"not-a-time-of-thirty-characters stdout F text\n",
        b"2026-01-31T08:30:00.123456789Z stdout F no end",
    ],
)
def test_lines_that_nobody_wrote_are_left_out(line: bytes) -> None:
    good = b"2026-01-31T08:30:00.123456789Z stderr P text\n"
    (entry,) = log.entries(iter([line, good]))
    assert (entry.stream, entry.data) == ("stderr", b"text")
    assert log.stamp(entry.time_ns) == b"2026-01-31T08:30:00.123456789Z"


class TestFull:
    @pytest.mark.usefixtures("no_more_room")
    def test_disk_ends_nothing_and_is_told_later(self, tmp_path: Path) -> None:
        writer = LogWriter(str(tmp_path))
        writer.write(b"stdout", b"x" * 800 + b"\n")
        before = (tmp_path / log.FILE).read_bytes()
        writer.write(b"stdout", b"y" * 300 + b"\n")
        writer.write(b"stdout", b"z" * 400)
        assert (tmp_path / log.FILE).read_bytes() == before  # no half entry either
        make_room()
        writer.write(b"stderr", b"again\n")
        writer.write(b"stdout", b"and again\n")
        missing = f"onggi: 701 bytes of output are missing here: {os.strerror(errno.EFBIG)}\n"
        assert raw(tmp_path)[1:] == [
            b"stderr F " + missing.encode(),
            b"stderr F again\n",
            b"stdout F and again\n",
        ]

    def test_disk_from_the_beginning(self, tmp_path: Path) -> None:
        directory = tmp_path / "later"  # whatever makes open(2) fail
        writer = LogWriter(str(directory))
        writer.write(b"stdout", b"lost\n")
        directory.mkdir()
        writer.write(b"stdout", b"kept\n")
        assert raw(directory)[0].startswith(b"stderr F onggi: 5 bytes of output are missing here")
        assert raw(directory)[1:] == [b"stdout F kept\n"]

    def test_disk_when_a_new_file_is_due(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "MOST_BYTES", 100)
        writer = LogWriter(str(tmp_path))
        writer.write(b"stdout", b"x" * 60 + b"\n")
        (tmp_path / f"{log.FILE}.new").mkdir()  # so that it cannot be made
        writer.write(b"stdout", b"y" * 60 + b"\n")
        assert raw(tmp_path) == [b"stdout F " + b"x" * 60 + b"\n"]
        (tmp_path / f"{log.FILE}.new").rmdir()
        writer.write(b"stdout", b"z\n")
        assert raw(tmp_path)[-1] == b"stdout F z\n"

    def test_file_is_followed_by_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "MOST_BYTES", 100)
        (tmp_path / f"{log.FILE}.new").write_bytes(b"of a crash")
        writer = LogWriter(str(tmp_path))
        for number in range(10):
            writer.write(b"stdout", b"%d" % number * 30 + b"\n")
        kept = [line[9:10] for line in raw(tmp_path)]
        assert kept == [b"5", b"6", b"7", b"8", b"9"]
        assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2", "log.3", "log.4"]
        for path in files(str(tmp_path)):
            assert os.path.getsize(path) <= 100
            assert os.stat(path).st_mode & 0o777 == 0o600
