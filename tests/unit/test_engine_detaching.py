"""The keys that leave a terminal: found however they arrive, and nothing else is lost for them."""

from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.engine.detaching import Typed, parse
from onggi.errors import InvalidInput

KEYS = b"\x10\x11"


class Left(Exception):
    """The keys were typed."""


class Program:
    """What gets to the program."""

    def __init__(self, keys: bytes = KEYS) -> None:
        self.heard = b""
        self.is_full = False
        self.typed = Typed(keys, self.send, self.leave)

    def send(self, data: bytes) -> int:
        if self.is_full:
            raise BlockingIOError
        self.heard += data
        return len(data)

    def leave(self) -> NoReturn:
        raise Left

    def type(self, *pieces: bytes) -> None:
        for piece in pieces:
            rest = piece
            while rest:
                rest = rest[self.typed.write(rest) :]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", KEYS),
        ("ctrl-a,d", b"\x01d"),
        ("x", b"x"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("a,b,C", b"abC"),
    ],
)
def test_keys(text: str, keys: bytes) -> None:
    assert parse(text) == keys


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-P", "ab", "ctrl-p,", "é", "ctrl-1"])
def test_no_keys(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid detach keys"):
        parse(text)


@pytest.mark.parametrize("pieces", [[b"ls\x10\x11rest"], [b"ls\x10", b"\x11rest"]])
def test_they_are_found_however_they_arrive(pieces: list[bytes]) -> None:
    program = Program()
    with pytest.raises(Left):
        program.type(*pieces)
    assert program.heard == b"ls"


def test_their_beginning_alone_gets_to_the_program_late() -> None:
    program = Program()
    program.type(b"\x10")
    assert program.heard == b""
    program.type(b"x")
    assert program.heard == b"\x10x"
    with pytest.raises(Left):
        program.type(b"\x10\x10\x11")  # the second one begins them
    assert program.heard == b"\x10x\x10"


def test_what_is_not_taken_comes_again() -> None:
    program = Program()
    program.is_full = True
    with pytest.raises(BlockingIOError):
        program.type(b"a\x10")
    program.is_full = False
    program.type(b"a\x10")
    with pytest.raises(Left):
        program.type(b"\x11")
    assert program.heard == b"a"


@given(st.lists(st.binary(max_size=5000)))
def test_what_has_no_such_keys_passes_whole(pieces: list[bytes]) -> None:
    plain = [piece.replace(b"\x11", b"") for piece in pieces]
    program = Program()
    program.type(*plain, b".")
    assert program.heard == b"".join(plain) + b"."
