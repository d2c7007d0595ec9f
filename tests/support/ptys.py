"""A command on a terminal, and a person at it."""

import fcntl
import os
import select
import struct
import termios
import time
from types import TracebackType
from typing import Self

from support.patience import SLOWER


class Terminal:
    """Runs a command with a terminal of its own as its standard streams."""

    def __init__(self, line: list[str], *, rows: int = 24, columns: int = 80) -> None:
        self.shown = b""
        self.master, slave = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for number in (0, 1, 2):
                os.dup2(slave, number)
            os.execv(line[0], line)
        self._slave = slave  # kept, so that its settings can be compared with those before
        self._status: int | None = None

    def enter(self, text: str) -> None:
        """Type something."""
        data = memoryview(text.encode())
        while data:
            data = data[os.write(self.master, data) :]

    def expect(self, text: str, seconds: float = 20) -> str:
        """Wait until a text is shown; return all that was shown up to its end, and forget it."""
        wanted = text.encode()
        deadline = time.monotonic() + seconds * SLOWER
        while wanted not in self.shown:
            has_come = self._read(max(deadline - time.monotonic(), 0))
            assert has_come, f"{text!r} did not come: {self.shown!r}"
        found, _, self.shown = self.shown.partition(wanted)
        return (found + wanted).decode(errors="replace")

    def _read(self, seconds: float) -> bool:
        if self.master < 0:
            time.sleep(seconds)
            return False
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self.shown += os.read(self.master, 65536)
        return True

    def resize(self, rows: int, columns: int) -> None:
        """Change the terminal's size, as a window does; the kernel sends SIGWINCH."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def hang_up(self) -> None:
        """Take the terminal away, as a window that is closed does; nothing more is shown."""
        os.close(self._slave)
        os.close(self.master)
        self.master = self._slave = -1

    def is_restored(self) -> bool:
        """Tell whether the terminal's settings are those of the beginning."""
        return termios.tcgetattr(self._slave) == self.before

    def wait(self, seconds: float = 20) -> int:
        """Wait until the command has ended; return its exit code."""
        deadline = time.monotonic() + seconds * SLOWER
        while self._status is None:
            assert time.monotonic() < deadline, f"the command does not end: {self.shown!r}"
            self._read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        while self._read(0):
            continue
        return os.waitstatus_to_exitcode(self._status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        if self.master >= 0:
            self.hang_up()
