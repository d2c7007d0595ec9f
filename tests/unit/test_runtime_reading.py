"""Reading the descriptors of whoever is attached, whatever they are."""

import os
import pty

import pytest

from onggi.runtime.flows import read_some


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
