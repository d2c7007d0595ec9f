"""Reading and writing the descriptors of whoever is attached, whatever they are."""

import os
import pty
import threading

import pytest

from onggi.engine.attach import read_some, write_all


def test_a_terminal_that_hung_up_is_at_its_end() -> None:
    master, slave = pty.openpty()
    os.close(slave)
    try:
        assert read_some(master, 10) == b""
    finally:
        os.close(master)


def test_other_errors_are_errors() -> None:
    directory = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            read_some(directory, 10)
    finally:
        os.close(directory)


def test_a_pipe_that_does_not_block_gets_everything() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = bytes(range(256)) * 4096
    received = bytearray()

    def receive() -> None:
        while len(received) < len(data):
            received.extend(os.read(reading, 65536))

    reader = threading.Thread(target=receive)
    reader.start()
    write_all(writing, data)
    reader.join(timeout=10)
    os.close(reading)
    os.close(writing)
    assert bytes(received) == data
