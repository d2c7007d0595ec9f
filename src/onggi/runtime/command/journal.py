"""What the command says of its own: one line for each event, as whoever calls runtimes reads them.

    time="2026-01-31T12:00:00Z" level=error msg="container does not exist"
    {"level":"error","msg":"container does not exist","time":"2026-01-31T12:00:00Z"}

With a log file, an error is said on standard error as well, without the ornaments.

Source: runc utils.go, fatal and its use of logrus; containerd's go-runc, getLastRuntimeError.
"""

from __future__ import annotations

import os
import sys
import time

from onggi.errors import InvalidInput
from onggi.linux.control_characters import one_line
from onggi.oci import jsontext

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")


class Journal:
    """Where messages go, in which form, and from which level on."""

    __slots__ = ("_fd", "form", "level")

    def __init__(self) -> None:
        self._fd = -1
        self.form = "text"
        self.level = "info"

    def open(self, path: str) -> None:
        """Append to the file `path`, made if need be. Raises: OSError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o644)

    def choose(self, form: str, level: str) -> None:
        """Set the form and the lowest level that is told. Raises: InvalidInput."""
        if form not in FORMATS:
            raise InvalidInput(f"invalid log-format: {form}", hint=" or ".join(FORMATS))
        if level not in LEVELS:
            raise InvalidInput(f"invalid log-level: {level}", hint=", ".join(LEVELS))
        self.form = form
        self.level = level

    def debug(self, message: str) -> None:
        """Say what only who looks for a fault wants to know."""
        self._say("debug", message)

    def warn(self, message: str) -> None:
        """Say that something asked for will not be."""
        self._say("warning", message)

    def error(self, message: str) -> None:
        """Say why the command fails."""
        self._say("error", message)
        if self._fd >= 0:
            sys.stderr.write(one_line(message) + "\n")

    def _say(self, level: str, message: str) -> None:
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        line = (self._line(level, message) + "\n").encode()
        if self._fd < 0:
            sys.stderr.flush()
        os.write(self._fd if self._fd >= 0 else 2, line)

    def _line(self, level: str, message: str) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self.form == "json":
            return jsontext.dumps({"level": level, "msg": message, "time": moment})
        return f'time="{moment}" level={level} msg={jsontext.dumps(message)}'
