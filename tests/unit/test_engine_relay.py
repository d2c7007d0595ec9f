"""What connects a caller to a program: pipes or a terminal, whose ends nobody else gets."""

import os
import pty
import resource
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.engine.options import Streams
from onggi.engine.relay import Relay

OWN = os.getuid(), os.getgid()
DATA = bytes(range(256)) * 8192


@pytest.fixture
def null_fd() -> Iterator[int]:
    fd = os.open("/dev/null", os.O_RDWR)
    yield fd
    os.close(fd)


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


class Program(threading.Thread):
    """Stands for a program: it has the inner ends, and tells when it has ended."""

    def __init__(self, stdin: int, *others: int) -> None:
        super().__init__()
        self.heard = bytearray()
        self.ended_fd, self._alive_fd = os.pipe()
        self._stdin, self._others = stdin, others

    def run(self) -> None:
        while data := os.read(self._stdin, 65536):
            self.heard += data
            for number, fd in enumerate(self._others):
                view = memoryview(data if number == 0 else data[:1])
                while view:
                    view = view[os.write(fd, view) :]
        for fd in (self._stdin, *self._others, self._alive_fd):
            os.close(fd)


def test_everything_passes_and_then_it_ends(null_fd: int, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(DATA)
    with (
        open(tmp_path / "in", "rb") as stdin,
        open(tmp_path / "out", "wb") as stdout,
        open(tmp_path / "err", "wb") as stderr,
    ):
        streams = Streams(
            stdin_fd=stdin.fileno(), stdout_fd=stdout.fileno(), stderr_fd=stderr.fileno()
        )
        relay = Relay(streams, OWN, null_fd)
        program = Program(*map(os.dup, relay.inside))
        relay.close_inside()
        program.start()
        relay.run(program.ended_fd)
        relay.close()
        program.join(timeout=10)
        os.close(program.ended_fd)
    assert bytes(program.heard) == DATA
    assert (tmp_path / "out").read_bytes() == DATA
    assert (tmp_path / "err").stat().st_size > 0


def test_nothing_asked_for_is_the_null_device(null_fd: int) -> None:
    relay = Relay(Streams(), OWN, null_fd)
    assert relay.inside == (null_fd,) * 3
    relay.close_inside()
    os.fstat(null_fd)
    reader, writer = os.pipe()
    os.close(writer)
    relay.run(reader)
    relay.close()
    os.close(reader)


def test_pipes_belong_to_the_program_s_user(null_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _fd, uid, gid: owners.append((uid, gid)))
    relay = Relay(Streams(stdin_fd=0, stdout_fd=1), (100000, 100033), null_fd)
    assert owners == [(100000, 100033)] * 2
    relay.close_inside()
    relay.close()


def test_the_caller_s_own_descriptors_do_not_go_inside(null_fd: int) -> None:
    reader, writer = os.pipe()
    relay = Relay(Streams(stdin_fd=reader, stdout_fd=writer, stderr_fd=writer), OWN, null_fd)
    caller = os.fstat(reader).st_ino
    assert caller not in {os.fstat(fd).st_ino for fd in relay.inside}
    assert len({os.fstat(fd).st_ino for fd in relay.inside}) == 3
    assert not any(os.get_inheritable(fd) for fd in relay.inside)
    relay.close_inside()
    relay.close()
    os.close(reader)
    os.close(writer)


def test_a_descendant_that_keeps_the_pipe_does_not_hold_up_the_end(
    null_fd: int, tmp_path: Path
) -> None:
    with open(tmp_path / "out", "wb") as stdout:
        relay = Relay(Streams(stdout_fd=stdout.fileno()), OWN, null_fd)
        kept = os.dup(relay.inside[1])
        relay.close_inside()
        os.write(kept, b"last words")
        reader, writer = os.pipe()
        os.close(writer)
        relay.run(reader)
        relay.close()
        os.close(kept)
        os.close(reader)
    assert (tmp_path / "out").read_bytes() == b"last words"


def test_a_terminal_carries_both_ways_and_is_closed_in_the_end(
    null_fd: int, tmp_path: Path
) -> None:
    said, typed = os.pipe()
    os.write(typed, b"typed\r")
    os.close(typed)
    master, slave = pty.openpty()
    tty.setraw(slave)
    with open(tmp_path / "out", "wb") as stdout:
        relay = Relay(Streams(), OWN, null_fd)
        relay.close_inside()
        relay.take_terminal(master, Streams(stdin_fd=said, stdout_fd=stdout.fileno()))
        program = Program(slave)

        def answer() -> None:
            program.heard += os.read(slave, 100)
            os.write(slave, b"answer")
            os.close(slave)
            os.close(program._alive_fd)

        worker = threading.Thread(target=answer)
        worker.start()
        relay.run(program.ended_fd)
        worker.join(timeout=10)
        relay.close()
        os.close(program.ended_fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(master)
    os.close(said)
    assert bytes(program.heard) == b"typed\r"
    assert (tmp_path / "out").read_bytes() == b"answer"


def test_a_reader_that_left_is_told(null_fd: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    relay = Relay(Streams(stdout_fd=writer), OWN, null_fd)
    os.write(relay.inside[1], b"x")
    alive = os.pipe()
    with pytest.raises(BrokenPipeError):
        relay.run(alive[0])
    relay.close_inside()
    relay.close()
    relay.close()
    for fd in (writer, *alive):
        os.close(fd)


@pytest.mark.parametrize("count", range(4))
def test_a_process_without_descriptors_left_loses_none(null_fd: int, count: int) -> None:
    reader, writer = os.pipe()
    streams = Streams(stdin_fd=reader, stdout_fd=writer)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = [os.dup(null_fd) for _ in range(count + 1)]
    for fd in spare:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare[-1], limits[1]))  # `count` may be opened
    try:
        with pytest.raises(OSError, match="Too many open files"):
            Relay(streams, OWN, null_fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for fd in (reader, writer):
        os.close(fd)
