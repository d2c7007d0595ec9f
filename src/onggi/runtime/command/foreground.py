"""Wait for a program in the foreground: pass signals on, and bytes where it has a terminal."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 6 ms, and this is all of it
import os

from onggi.linux import process, signals, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.runtime.start import Started

# Those that speak of this process, not of the program.
_OWN = (signals.SIGCHLD, signals.SIGKILL, signals.SIGSTOP, signals.SIGPIPE, signals.SIGURG)


def wait(started: Started) -> int:
    """Wait for the end of a program, our child; return the status that tells of it.

    That is its own, or 128 + n if signal n ended it.
    """
    _pass_signals_on(started.pid)
    if started.terminal_fd >= 0:
        _relay(started)
    code = os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1])
    return 128 - code if code < 0 else code


def _pass_signals_on(pid: int) -> None:
    """Give the program every signal that asks this process for something."""

    def pass_on(number: int, _frame: object) -> None:
        try:
            os.kill(pid, number)  # ours, so that its number is nobody else's before we wait
        except ProcessLookupError:
            pass  # it has ended, and we are about to hear of it

    _handle(pass_on)


def _handle(handler: Callable[[int, object], None]) -> None:
    for number in range(1, signals.SIGSYS + 1):
        if number not in _OWN and _signal.getsignal(number) is not None:
            _signal.signal(number, handler)


def _relay(started: Started) -> None:
    """Pass bytes between our terminal and the program's until the program has ended."""
    from onggi.runtime.flows import Input, Output, Sink, turn

    master = started.terminal_fd
    os.set_blocking(master, False)
    ended = process.pidfd_open(started.pid)
    saved = terminal.make_raw(0) if os.isatty(0) else b""
    _follow_size(master)
    said = Input(0, master, lambda data: os.write(master, data), lambda: None)
    heard = Output(master, Sink(1))
    try:
        while not turn([said, heard], ended):
            continue
        while heard.drain():
            turn([heard])
    finally:
        if saved:
            terminal.restore(0, saved)
        os.close(ended)
        os.close(master)


def _follow_size(master: int) -> None:
    def resize(_number: int, _frame: object) -> None:
        if os.isatty(0):
            terminal.set_size(master, *terminal.get_size(0))

    _signal.signal(signals.SIGWINCH, resize)
