"""Wait for a program in the foreground: pass signals on, and bytes where it has a terminal."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 6 ms, and this is all of it
import os

from onggi.linux import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.start import Started

# Those that speak of this process, not of the program.
_OWN = (signals.SIGCHLD, signals.SIGKILL, signals.SIGSTOP, signals.SIGPIPE, 23)  # 23: SIGURG


def wait(started: Started) -> int:
    """Wait for the end of a program, our child; return its status as waitpid gives it."""
    _pass_signals_on(started.pid)
    return os.waitpid(started.pid, 0)[1]


def _pass_signals_on(pid: int) -> None:
    """Give the program every signal that asks this process for something."""

    def pass_on(number: int, _frame: object) -> None:
        try:
            os.kill(pid, number)  # ours, so that its number is nobody else's before we wait
        except ProcessLookupError:
            pass  # it has ended, and we are about to hear of it

    for number in range(1, 32):
        if number not in _OWN and _signal.getsignal(number) is not None:
            _signal.signal(number, pass_on)
