"""The user's side of an attached program, on a pseudo-terminal of the test's own."""

import os
import pty
import signal
import termios
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pytest

from onggi.cli import attached
from onggi.engine.options import Exit
from onggi.errors import Conflict
from onggi.linux import terminal


class Session:
    """A program that lives as long as a function of the test runs."""

    def __init__(self, life: Callable[[], None], code: int = 0) -> None:
        self._life = life
        self.ended = Exit(code=code)
        self.sizes: list[tuple[int, int]] = []
        self.signals: list[int] = []

    def wait(self) -> Exit:
        self._life()
        return self.ended

    def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    def signal(self, number: int) -> None:
        self.signals.append(number)


@pytest.fixture
def other_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[BinaryIO]:
    """Put a new terminal in the place of descriptor 0 for the code under test."""
    master, slave = pty.openpty()
    monkeypatch.setattr(attached, "STDIN", slave)
    terminal.set_size(slave, 24, 80)
    with open(master, "rb", buffering=0) as other:
        yield other
    os.close(slave)


@pytest.fixture
def standard_input(other_end: BinaryIO) -> int:
    """Name the descriptor that stands for 0."""
    del other_end
    return attached.STDIN


def is_raw(fd: int) -> bool:
    return not termios.tcgetattr(fd)[3] & termios.ICANON


def follow(session: Session, *, tty: bool, interactive: bool = True, forward: bool = True) -> int:
    return attached.follow(session, interactive=interactive, tty=tty, forward=forward)


def test_the_terminal_is_raw_while_the_program_runs(standard_input: int) -> None:
    before = termios.tcgetattr(standard_input)
    seen: list[bool] = []
    session = Session(lambda: seen.append(is_raw(standard_input)), code=5)
    assert follow(session, tty=True) == 5
    assert seen == [True]
    assert termios.tcgetattr(standard_input) == before
    assert session.sizes == [(24, 80)]


def test_the_terminal_is_put_back_when_the_session_breaks(standard_input: int) -> None:
    before = termios.tcgetattr(standard_input)

    def life() -> None:
        raise OSError("the monitor is gone")

    with pytest.raises(OSError, match="monitor"):
        follow(Session(life), tty=True)
    assert termios.tcgetattr(standard_input) == before


def test_a_terminal_that_hung_up_is_no_failure(other_end: BinaryIO) -> None:
    assert follow(Session(other_end.close, code=6), tty=True) == 6


def test_the_terminal_is_left_alone_without_t(standard_input: int) -> None:
    seen: list[bool] = []
    session = Session(lambda: seen.append(is_raw(standard_input)))
    follow(session, tty=False)
    assert seen == [False]
    assert session.sizes == []


def test_a_new_window_size_goes_on(standard_input: int) -> None:
    def life() -> None:
        terminal.set_size(standard_input, 50, 132)
        os.kill(os.getpid(), signal.SIGWINCH)

    session = Session(life)
    follow(session, tty=True)
    assert session.sizes == [(24, 80), (50, 132)]


@pytest.mark.usefixtures("standard_input")
def test_signals_go_on_to_the_program() -> None:
    before = [signal.getsignal(number) for number in attached.FORWARDED]

    def life() -> None:
        for number in attached.FORWARDED:
            os.kill(os.getpid(), number)

    session = Session(life)
    follow(session, tty=False)
    assert session.signals == list(attached.FORWARDED)
    assert [signal.getsignal(number) for number in attached.FORWARDED] == before


@pytest.mark.usefixtures("standard_input")
def test_a_signal_to_a_program_that_has_just_ended_is_none() -> None:
    class Ended(Session):
        def signal(self, number: int) -> None:
            raise Conflict("it is not running")

    assert follow(Ended(lambda: os.kill(os.getpid(), signal.SIGTERM), code=4), tty=False) == 4


@pytest.mark.usefixtures("standard_input")
def test_signals_stay_here_when_not_forwarded() -> None:
    session = Session(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        follow(session, tty=False, forward=False)
    assert session.signals == []
