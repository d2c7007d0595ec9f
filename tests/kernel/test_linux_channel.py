"""Messages between processes: whole, with all their descriptors, or an error."""

import array
import errno
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from onggi.linux import channel
from onggi.linux.channel import MOST_BYTES, MOST_FDS, CutShort


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    one, other = channel.pair()
    yield one, other
    for fd in (one, other):
        try:
            os.close(fd)
        except OSError:
            continue


def send_raw(fd: int, data: bytes, fds: list[int]) -> None:
    """Send what `channel.send` would refuse."""
    with socket.socket(fileno=os.dup(fd)) as one:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        one.sendmsg([data], rights)


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("size", [1, 1000, 32 * 1024 + 1, MOST_BYTES - 1, MOST_BYTES])
def test_arrives_whole(pair: tuple[int, int], size: int) -> None:
    data = os.urandom(size)
    channel.send(pair[0], data)
    channel.send(pair[0], b"next")
    assert channel.receive(pair[1]) == (data, [])
    assert channel.receive(pair[1]) == (b"next", [])


@pytest.mark.parametrize("count", [1, 3, MOST_FDS])
def test_descriptors_come_along(pair: tuple[int, int], count: int) -> None:
    reader, writer = os.pipe()
    channel.send(pair[0], b"x" * MOST_BYTES, (writer,) * count)
    data, fds = channel.receive(pair[1])
    assert (len(data), len(fds)) == (MOST_BYTES, count)
    for fd in (writer, *fds):
        assert not os.get_inheritable(fd)
        os.close(fd)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_too_much_is_not_sent(pair: tuple[int, int]) -> None:
    for data, fds in ((b"x" * (MOST_BYTES + 1), ()), (b"x", (0,) * (MOST_FDS + 1))):
        with pytest.raises(OSError, match="too long") as caught:
            channel.send(pair[0], data, fds)
        assert caught.value.errno == errno.EMSGSIZE
    with pytest.raises(ValueError, match="empty"):
        channel.send(pair[0], b"")
    channel.send(pair[0], b"next")
    assert channel.receive(pair[1]) == (b"next", [])


def test_too_long_a_message_is_an_error_and_the_next_is_whole(pair: tuple[int, int]) -> None:
    before = open_fds()
    send_raw(pair[0], b"x" * (MOST_BYTES + 1), [pair[0]])
    channel.send(pair[0], b"next")
    with pytest.raises(CutShort) as caught:
        channel.receive(pair[1])
    assert caught.value.errno == errno.EMSGSIZE
    assert open_fds() == before
    assert channel.receive(pair[1]) == (b"next", [])


def test_too_many_descriptors_are_an_error(pair: tuple[int, int]) -> None:
    before = open_fds()
    send_raw(pair[0], b"x", [pair[0]] * (2 * MOST_FDS))
    with pytest.raises(CutShort):
        channel.receive(pair[1])
    assert open_fds() == before


def test_a_descriptor_that_there_is_no_room_for_is_an_error(pair: tuple[int, int]) -> None:
    channel.send(pair[0], b"x", (pair[0],) * 4)
    before = open_fds()
    spare = [os.dup(0) for _ in range(2)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for fd in spare:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare[-1] + 1, limits[1]))
    try:
        with pytest.raises(CutShort) as caught:
            channel.receive(pair[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.errno == errno.EMFILE
    assert open_fds() == before


def test_the_end(pair: tuple[int, int]) -> None:
    channel.send(pair[0], b"last")
    os.close(pair[0])
    assert channel.receive(pair[1]) == (b"last", [])
    assert channel.receive(pair[1]) == (b"", [])
    with pytest.raises(BrokenPipeError):
        channel.send(pair[1], b"x")


def test_an_end_closed_with_unread_messages_loses_none_of_its_own(pair: tuple[int, int]) -> None:
    channel.send(pair[1], b"unread")
    channel.send(pair[0], b"last")
    os.close(pair[0])
    assert channel.receive(pair[1]) == (b"last", [])
    assert channel.receive(pair[1]) == (b"", [])


def test_what_does_not_block(pair: tuple[int, int]) -> None:
    for fd in pair:
        os.set_blocking(fd, False)
    with pytest.raises(BlockingIOError):
        channel.receive(pair[1])
    sent: list[int] = []
    with pytest.raises(BlockingIOError):
        flood(pair[0], sent)
    assert [int(channel.receive(pair[1])[0]) for _ in sent] == sent


def flood(fd: int, sent: list[int]) -> None:
    """Send messages, and take note of each, until no more is taken."""
    for number in range(MOST_BYTES):
        channel.send(fd, b"%d" % number + b" " * 1000)
        sent.append(number)
