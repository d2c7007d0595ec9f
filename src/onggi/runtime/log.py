"""A container's output on disk, line by line, with the time and the stream.

    2026-11-23T10:15:30.123456789Z stdout F hello
    2026-11-23T10:15:31.000000000Z stderr P a prompt without an end of li

`F` marks a whole line, `P` one that goes on in the next entry of the same stream. Nothing is
escaped, so any bytes but a newline may stand in the text, and reading is splitting. This is the
format that Kubernetes asks of its runtimes (CRI) and that podman calls k8s-file.

The file is rotated by size, so that a container's chatter cannot fill the disk.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "log"
MOST_BYTES = 16 * 1024 * 1024  # of one file
OLDER_FILES = 4  # log.1 is the youngest of them

_WHOLE, _PART = b"F", b"P"


class LogWriter:
    """Appends to the log in one directory; one process writes it."""

    __slots__ = ("_bytes", "_fd", "_path")

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/{FILE}"
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._bytes = os.fstat(self._fd).st_size

    def write(self, stream: bytes, data: bytes) -> None:
        """Append `data`, which came from `stream` (b"stdout" or b"stderr") just now."""
        prefix = stamp(time.time_ns()) + b" " + stream + b" "
        whole, newline, rest = data.rpartition(b"\n")
        entries = b""
        if newline:
            lead = prefix + _WHOLE + b" "
            entries = lead + whole.replace(b"\n", b"\n" + lead) + b"\n"
        if rest:
            entries += prefix + _PART + b" " + rest + b"\n"
        self._append(entries)

    def _append(self, entries: bytes) -> None:
        if self._bytes + len(entries) > MOST_BYTES and self._bytes:
            self._rotate()
        view = memoryview(entries)
        while view:
            view = view[os.write(self._fd, view) :]
        self._bytes += len(entries)

    def _rotate(self) -> None:
        os.close(self._fd)
        for number in range(OLDER_FILES, 0, -1):
            younger = self._path if number == 1 else f"{self._path}.{number - 1}"
            try:
                os.rename(younger, f"{self._path}.{number}")
            except FileNotFoundError:
                pass  # not that many yet
        self._open()


class Entry:
    """One piece of output: `time_ns` since the epoch, "stdout" or "stderr", bytes as written."""

    __slots__ = ("data", "stream", "time_ns")

    def __init__(self, time_ns: int, stream: str, data: bytes) -> None:
        self.time_ns = time_ns
        self.stream = stream
        self.data = data


def files(directory: str) -> list[str]:
    """Return the log's files that exist, oldest first."""
    names = [f"{FILE}.{number}" for number in range(OLDER_FILES, 0, -1)] + [FILE]
    return [path for name in names if os.path.exists(path := f"{directory}/{name}")]


def entries(lines: Iterator[bytes]) -> Iterator[Entry]:
    """Read raw lines of a log, newlines kept; what was cut short by a crash is left out."""
    for line in lines:
        if line.endswith(b"\n"):
            when, stream, kind, text = line.split(b" ", 3)
            data = text if kind == _WHOLE else text[:-1]
            yield Entry(parse_stamp(when), stream.decode(), data)


def stamp(time_ns: int) -> bytes:
    """Return `time_ns` as RFC 3339 in UTC with nine digits."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return b"%s.%09dZ" % (whole.encode(), nanoseconds)


def parse_stamp(text: bytes) -> int:
    """Return the nanoseconds since the epoch that `stamp` made `text` from."""
    year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
    hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
    days = _days_since_epoch(year, month, day)
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1_000_000_000 + int(text[20:29])


def _days_since_epoch(year: int, month: int, day: int) -> int:
    """Count days in the proleptic Gregorian calendar; `calendar` and `datetime` cost 5 ms."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
