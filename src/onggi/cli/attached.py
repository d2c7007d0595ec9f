"""A program whose terminal and signals are ours: `run` and `exec` in the foreground.

The engine moves the bytes. Here is what belongs to the user's side: the terminal is made raw, so
that the container's terminal alone echoes and edits; a new window size and the signals that we
get go on to the program; and the terminal is put back on every way out.
"""

from __future__ import annotations

import errno
import os
import sys

from onggi.cli.options import Text, UsageError
from onggi.engine.options import USUAL_KEYS, Detached, Streams
from onggi.errors import Conflict
from onggi.linux import signals, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Protocol

    from onggi.cli.options import Given
    from onggi.engine.containers import Container
    from onggi.engine.options import Exit

    Handler = Callable[[int, FrameType | None], None]

    class Session(Protocol):
        """A program that the engine attached us to."""

        def wait(self) -> Exit:
            """Pass bytes on until it ends."""

        def resize(self, rows: int, columns: int) -> None:
            """Tell its terminal the size of ours."""

        def signal(self, number: int) -> None:
            """Send it a signal."""
else:
    # What `signal` wraps; the wrapper adds enumerations, which cost 6 ms at every start.
    import _signal

STDIN, STDOUT, STDERR = 0, 1, 2

# What people and supervisors send. Those that the kernel raises for our own faults stay ours, as do
# SIGCHLD, SIGPIPE and, in the background, SIGTTIN and SIGTTOU.
FORWARDED = (
    signals.SIGHUP,
    signals.SIGINT,
    signals.SIGQUIT,
    signals.SIGUSR1,
    signals.SIGUSR2,
    signals.SIGALRM,
    signals.SIGTERM,
    signals.SIGCONT,
    signals.SIGTSTP,
)


class NoTerminal(UsageError):
    """A terminal was asked for, and our input is none."""

    exit_code = 1


DETACH_KEYS = Text("detach-keys", "", "KEYS", "Leave the terminal by other keys than ctrl-p,ctrl-q")


def streams(*, interactive: bool, tty: bool, detach_keys: str | None = None) -> Streams:
    """Return our standard streams as the engine takes them.

    Raises: NoTerminal: with both `-i` and `-t`, input must be a terminal; InvalidInput: there are
        no such keys.
    """
    if interactive and tty and not os.isatty(STDIN):
        raise NoTerminal("the input device is not a TTY", hint="leave out -t to pipe input")
    # What was printed before must not come after what the program writes to the same descriptor.
    sys.stdout.flush()
    return Streams(
        stdin_fd=STDIN if interactive else -1,
        stdout_fd=STDOUT,
        stderr_fd=STDERR,
        terminal=tty,
        detach_keys=(detach_keys or USUAL_KEYS) if tty and interactive else "",
    )


def stay(
    given: Given, container: Container, begin: Callable[[Streams], Session], *, interactive: bool
) -> int:
    """Stay with a container that `begin` attaches us to; return its program's exit code.

    Args: interactive: pass our input on, if the container was made to take some.
    """
    options = container.record["options"]
    interactive = interactive and options["interactive"]
    keys = given.text("detach-keys")
    session = begin(streams(interactive=interactive, tty=options["tty"], detach_keys=keys))
    return follow(
        session, interactive=interactive, tty=options["tty"], forward=given.on("sig-proxy")
    )


def follow(session: Session, *, interactive: bool, tty: bool, forward: bool = True) -> int:
    """Stay with a program until it ends; return its exit code.

    Args: forward: pass the signals that we get on to the program.
    """
    handlers: dict[int, Handler] = {}
    if forward:
        handlers = dict.fromkeys(FORWARDED, lambda number, _frame: _pass_on(session, number))
    if tty:
        handlers[signals.SIGWINCH] = lambda _number, _frame: _resize(session)
    raw_fd = STDIN if interactive and tty else -1
    with _Handlers(handlers), _Raw(raw_fd):
        if tty:
            _resize(session)
        try:
            ended = session.wait()
        except Detached:
            ended = None
    if ended is None:
        print("read escape sequence", file=sys.stderr)
        return 0
    return exit_code(ended)


def exit_code(ended: Exit) -> int:
    """Return how a program ended as a shell sees it, having said what the program cannot."""
    if ended.oom_killed:
        why = "the kernel killed a process of it: the container had reached its memory limit"
        print(f"onggi: {why}", file=sys.stderr)
    return ended.code


def _pass_on(session: Session, number: int) -> None:
    try:
        session.signal(number)
    except Conflict:
        return  # the program has just ended, and its exit code is on the way


def _resize(session: Session) -> None:
    for fd in (STDIN, STDOUT, STDERR):
        if os.isatty(fd):
            session.resize(*terminal.get_size(fd))
            return


class _Handlers:
    """Signal handlers for the time of a `with` block."""

    __slots__ = ("_before", "_handlers")

    def __init__(self, handlers: dict[int, Handler]) -> None:
        self._handlers = handlers
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        for number, handler in self._handlers.items():
            self._before[number] = _signal.signal(number, handler)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            _signal.signal(number, before)  # type: ignore[arg-type]


class _Raw:
    """A terminal in raw mode for the time of a `with` block; -1 is no terminal."""

    __slots__ = ("_fd", "_saved")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved = b""

    def __enter__(self) -> None:
        if self._fd >= 0:
            self._saved = terminal.make_raw(self._fd)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._saved:
            return
        try:
            terminal.restore(self._fd, self._saved)
        except OSError as failure:
            # A terminal that hung up has no settings to put back.
            if failure.errno != errno.EIO:
                raise
