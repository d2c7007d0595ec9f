"""A container's output on disk, line by line, with the time and the stream.

    2026-11-23T10:15:30.123456789Z stdout F hello
    2026-11-23T10:15:31.000000000Z stderr P a prompt without an end of li

`F` marks a whole line, `P` one that goes on in the next entry of the same stream. Nothing is
escaped, so any bytes but a newline may stand in the text, and reading is splitting. This is the
format that Kubernetes asks of its runtimes (CRI) and that podman calls k8s-file.

The file is rotated by size, so that a container's chatter cannot fill the disk. A disk that is full
all the same ends no container: what cannot be kept is left out, and once there is room again an
entry on standard error says how much is missing.
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
_CHUNK = 64 * 1024


class LogWriter:
    """Appends to the log in one directory; one process writes it. Nothing here raises OSError."""

    __slots__ = ("_bytes", "_fd", "_lost_bytes", "_path", "_reason")

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/{FILE}"
        self._fd = -1
        self._bytes = 0
        self._lost_bytes = 0
        self._reason = ""
        try:
            self._open()
        except OSError:
            self._fd = -1  # the first write tries again

    def _open(self) -> None:
        self._fd = _create(self._path)
        self._bytes = _cut_back(self._fd)

    def write(self, stream: bytes, data: bytes) -> None:
        """Append `data`, which came from `stream` (b"stdout" or b"stderr") just now."""
        now = stamp(time.time_ns())
        try:
            self._append(self._remark(now) + _entries(now + b" " + stream + b" ", data))
        except OSError as error:
            self._lost_bytes += len(data)
            self._reason = error.strerror or str(error)
        else:
            self._lost_bytes = 0

    def _remark(self, now: bytes) -> bytes:
        if not self._lost_bytes:
            return b""
        text = f"onggi: {self._lost_bytes} bytes of output are missing here: {self._reason}"
        return now + b" stderr " + _WHOLE + b" " + text.encode() + b"\n"

    def _append(self, entries: bytes) -> None:
        if self._fd < 0:
            self._open()
        if self._bytes + len(entries) > MOST_BYTES and self._bytes:
            self._rotate()
        view = memoryview(entries)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, self._bytes)  # half an entry is none
            raise
        self._bytes += len(entries)

    def _rotate(self) -> None:
        """Begin another file. It is made first: if that fails the old one is still there."""
        fresh_fd = _create(f"{self._path}.new")
        os.ftruncate(fresh_fd, 0)  # it may be a crash's
        for number in range(OLDER_FILES, 0, -1):
            younger = self._path if number == 1 else f"{self._path}.{number - 1}"
            try:
                os.rename(younger, f"{self._path}.{number}")
            except FileNotFoundError:
                pass  # not that many yet
        os.rename(f"{self._path}.new", self._path)
        os.close(self._fd)
        self._fd, self._bytes = fresh_fd, 0


def _create(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _cut_back(fd: int) -> int:
    """Take away half an entry that a crash left at the end; return how many bytes there are now.

    Otherwise the next entry would begin in its middle.
    """
    size = end = os.fstat(fd).st_size
    while end:
        begin = max(end - _CHUNK, 0)
        newline = os.pread(fd, end - begin, begin).rfind(b"\n")
        end = begin if newline < 0 else begin + newline + 1
        if newline >= 0:
            break
    if end != size:
        os.ftruncate(fd, end)
    return end


def _entries(prefix: bytes, data: bytes) -> bytes:
    whole, newline, rest = data.rpartition(b"\n")
    entries = b""
    if newline:
        lead = prefix + _WHOLE + b" "
        entries = lead + whole.replace(b"\n", b"\n" + lead) + b"\n"
    if rest:
        entries += prefix + _PART + b" " + rest + b"\n"
    return entries


class Entry:
    """One piece of output: `time_ns` since the epoch, "stdout" or "stderr", bytes as written."""

    __slots__ = ("data", "stream", "time_ns")

    def __init__(self, time_ns: int, stream: str, data: bytes) -> None:
        self.time_ns = time_ns
        self.stream = stream
        self.data = data


def names(directory: str) -> list[str]:
    """Return the paths that files of the log may have, oldest first."""
    older = [f"{directory}/{FILE}.{number}" for number in range(OLDER_FILES, 0, -1)]
    return [*older, f"{directory}/{FILE}"]


def parse(line: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
    """Split a raw line of a log into time, stream, kind and text; None if it is none.

    A crash of the machine may leave lines that nobody wrote.
    """
    parts = line.split(b" ", 3)
    if len(parts) != 4 or not line.endswith(b"\n"):
        return None
    when, stream, kind, text = parts
    if stream not in (b"stdout", b"stderr") or kind not in (_WHOLE, _PART):
        return None
    if len(when) != 30 or when.translate(None, b"0123456789") != b"--T::.Z":
        return None
    return when, stream, kind, text


def entries(lines: Iterator[bytes]) -> Iterator[Entry]:
    """Read raw lines of a log, newlines kept; what a crash spoilt is left out."""
    for line in lines:
        parts = parse(line)
        if parts is not None:
            when, stream, kind, text = parts
            yield Entry(parse_stamp(when), stream.decode(), text if kind == _WHOLE else text[:-1])


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
