"""Bytes between descriptors of every kind: whole, in order, and without waiting for each other."""

import os
import pty
import select
import socket
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.runtime import flows
from onggi.runtime.flows import Input, Output, Sink, turn

MIB = 1 << 20
DATA = bytes(range(256)) * (4 * MIB // 256)


class Pipe:
    """A pipe whose ends are closed at the end, unless the test did that."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def close(self) -> None:
        for fd in (self.reader, self.writer):
            try:
                os.close(fd)
            except OSError:
                continue


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    one = Pipe()
    yield one
    one.close()


def read_all(fd: int, into: bytearray) -> None:
    while data := os.read(fd, 65536):
        into += data


def fill(sink: Sink) -> bytes:
    """Put pieces until one is not taken whole; return all that was given."""
    given = b""
    while not sink.left:
        piece = os.urandom(1000)
        sink.put(piece)
        given += piece
        assert len(given) < 4 * MIB
    return given


def flush(sink: Sink) -> None:
    while sink.left:
        select.select([], [sink.fd], [])
        sink.flush()


def drained(sink: Sink, reader: int, given: bytes) -> bool:
    received = bytearray()
    while len(received) < len(given):
        received += os.read(reader, 65536)
        sink.flush()
    return bytes(received) == given


class TestSink:
    def test_does_not_wait_for_a_full_pipe(self, pipe: Pipe) -> None:
        sink = Sink(pipe.writer)
        given = fill(sink)
        assert drained(sink, pipe.reader, given)
        sink.close()

    def test_does_not_wait_for_a_full_socket(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            sink = Sink(ours.fileno())
            assert drained(sink, theirs.fileno(), fill(sink))

    def test_does_not_wait_for_a_terminal_that_nobody_reads(self) -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        sink = Sink(slave)
        assert drained(sink, master, fill(sink))
        sink.close()
        os.close(master)
        os.close(slave)

    def test_leaves_the_caller_s_descriptor_as_it_is(self, pipe: Pipe) -> None:
        sink = Sink(pipe.writer)
        sink.put(b"x")
        sink.close()
        assert os.get_blocking(pipe.writer)
        os.write(pipe.writer, b"y")
        assert os.read(pipe.reader, 10) == b"xy"

    def test_holds_no_descriptor_once_it_is_closed(self, pipe: Pipe) -> None:
        sink = Sink(pipe.writer)
        sink.close()
        sink.close()
        os.close(pipe.writer)
        assert os.read(pipe.reader, 1) == b""

    def test_a_caller_that_does_not_block_is_no_failure(self, pipe: Pipe) -> None:
        os.set_blocking(pipe.writer, False)
        sink = Sink(pipe.writer)
        assert drained(sink, pipe.reader, fill(sink))
        sink.close()

    def test_works_without_proc(self, pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> int:
            raise FileNotFoundError

        monkeypatch.setattr(flows.os, "open", fail)  # type: ignore[attr-defined]
        sink = Sink(pipe.writer)
        assert sink.fd == pipe.writer
        assert drained(sink, pipe.reader, fill(sink))

    def test_appends_to_a_file_where_its_offset_is(self, tmp_path: Path) -> None:
        with open(tmp_path / "out", "wb") as file:
            file.write(b"before ")
            file.flush()
            sink = Sink(file.fileno())
            sink.put(DATA[: flows.CHUNK])
            assert sink.left == b""
            file.write(b" after")
        assert (tmp_path / "out").read_bytes() == b"before " + DATA[: flows.CHUNK] + b" after"

    def test_a_device_takes_everything_at_once(self) -> None:
        with open("/dev/null", "wb", buffering=0) as null:
            sink = Sink(null.fileno())
            for _ in range(100):
                sink.put(DATA[: flows.CHUNK])
                assert sink.left == b""
            assert sink._most == flows.CHUNK

    def test_nowhere_takes_everything(self) -> None:
        sink = Sink(-1)
        sink.put(b"x" * MIB)
        assert sink.left == b""

    def test_tells_that_the_reader_left(self, pipe: Pipe) -> None:
        sink = Sink(pipe.writer)
        os.close(pipe.reader)
        with pytest.raises(BrokenPipeError):
            sink.put(b"x")
        sink.close()

    def test_tells_what_a_full_disk_says(self) -> None:
        with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="space"):
            Sink(full.fileno()).put(b"x")


def through(source: int, target: int) -> Input:
    os.set_blocking(target, False)
    return Input(source, target, lambda data: os.write(target, data), lambda: os.close(target))


class TestInput:
    def test_passes_everything_and_the_end(self, pipe: Pipe, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(DATA)
        received = bytearray()
        reader = threading.Thread(target=read_all, args=(pipe.reader, received))
        reader.start()
        with open(tmp_path / "in", "rb") as file:
            flow = through(file.fileno(), pipe.writer)
            while flow.wants():
                turn([flow])
        reader.join(timeout=20)
        assert received == DATA

    def test_reads_no_further_than_is_taken(self, pipe: Pipe) -> None:
        with open("/dev/zero", "rb", buffering=0) as zero:
            flow = through(zero.fileno(), pipe.writer)
            while flow.wants() == (zero.fileno(), select.POLLIN):
                flow.advance()
            assert flow.wants() == (pipe.writer, select.POLLOUT)
            flow.advance()  # not writable after all: nothing is lost, nothing is read
            assert flow.wants() == (pipe.writer, select.POLLOUT)

    def test_a_program_that_reads_no_more_ends_it(self, pipe: Pipe) -> None:
        os.close(pipe.reader)
        with open("/dev/zero", "rb", buffering=0) as zero:
            flow = through(zero.fileno(), pipe.writer)
            turn([flow])
        assert flow.wants() is None

    def test_the_end_waits_like_everything_else(self, pipe: Pipe) -> None:
        told: list[int] = []

        def end() -> None:
            told.append(len(told))
            if len(told) == 1:
                raise BlockingIOError

        with open("/dev/null", "rb", buffering=0) as null:
            flow = Input(null.fileno(), pipe.writer, len, end)
            turn([flow])
            assert flow.wants() == (pipe.writer, select.POLLOUT)
            turn([flow])
        assert (told, flow.wants()) == ([0, 1], None)

    def test_a_closed_source_is_told(self, pipe: Pipe) -> None:
        flow = through(pipe.reader, pipe.writer)
        os.close(pipe.reader)
        with pytest.raises(OSError, match="Bad file descriptor"):
            turn([flow])

    def test_somebody_else_took_what_was_there(self, pipe: Pipe) -> None:
        os.set_blocking(pipe.reader, False)
        flow = Input(pipe.reader, -1, len, lambda: None)
        flow.advance()
        assert flow.wants() == (pipe.reader, select.POLLIN)


class TestOutput:
    def test_drains_what_is_there_and_waits_for_no_more(self, pipe: Pipe, tmp_path: Path) -> None:
        os.set_blocking(pipe.reader, False)
        os.write(pipe.writer, b"last words")
        with open(tmp_path / "out", "wb") as file:
            assert not Output(pipe.reader, Sink(file.fileno())).drain()
        assert (tmp_path / "out").read_bytes() == b"last words"

    def test_drains_no_more_than_a_pipe_holds(self) -> None:
        with open("/dev/zero", "rb", buffering=0) as endless:
            assert not Output(endless.fileno(), Sink(-1)).drain()

    def test_drains_into_a_slow_sink_piece_by_piece(self, pipe: Pipe) -> None:
        with open("/dev/zero", "rb", buffering=0) as endless:
            flow = Output(endless.fileno(), sink := Sink(pipe.writer))
            received = bytearray()
            while flow.drain():
                received += os.read(pipe.reader, 65536)
                flow.advance()
            sink.close()
        os.close(pipe.writer)
        read_all(pipe.reader, received)
        assert len(received) == (MIB // flows.CHUNK + 1) * flows.CHUNK

    def test_ends_with_its_source(self, pipe: Pipe) -> None:
        os.close(pipe.writer)
        flow = Output(pipe.reader, Sink(-1))
        turn([flow])
        assert flow.wants() is None


def test_one_direction_does_not_hold_up_the_other(pipe: Pipe) -> None:
    """Somebody who writes everything before reading anything, and one who does both at once."""
    inward, answer = Pipe(), Pipe()
    heard, done = bytearray(), Pipe()

    def program() -> None:
        talker = threading.Thread(target=lambda: [os.write(answer.writer, DATA) for _ in "ab"])
        talker.start()
        read_all(inward.reader, heard)
        talker.join()
        os.close(answer.writer)
        os.close(done.writer)

    said = bytearray()

    def caller() -> None:
        view = memoryview(DATA)
        while view:
            view = view[os.write(source.writer, view) :]
        os.close(source.writer)
        read_all(pipe.reader, said)

    source = Pipe()
    workers = [threading.Thread(target=work, daemon=True) for work in (program, caller)]
    for worker in workers:
        worker.start()
    os.set_blocking(answer.reader, False)
    sink = Sink(pipe.writer)
    os.close(pipe.writer)
    both: list[Input | Output] = [
        through(source.reader, inward.writer),
        Output(answer.reader, sink),
    ]
    while any(flow.wants() for flow in both):
        turn(both)
    sink.close()
    for worker in workers:
        worker.join(timeout=20)
    assert (bytes(heard), bytes(said)) == (DATA, DATA * 2)
    for one in (inward, answer, source, done):
        one.close()


def test_one_descriptor_for_both_directions() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        with open("/dev/zero", "rb", buffering=0) as zero:
            fd = ours.fileno()
            there = Input(zero.fileno(), fd, lambda data: os.write(fd, data), lambda: None)
            back = Output(fd, Sink(-1))
            while there.wants() != (fd, select.POLLOUT):
                turn([there])
            theirs.send(b"x")
            turn([there, back])  # not writable, but readable
            assert back.wants() == (fd, select.POLLIN)
            theirs.recv(8 * MIB)
            theirs.close()
            while there.wants() or back.wants():
                turn([there, back])


def test_tells_when_the_program_has_ended(pipe: Pipe) -> None:
    os.write(pipe.writer, b"x")
    assert turn([], pipe.reader)
