"""The guestbook's pages: one SQLite file."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_NAME = 60
LONGEST_MESSAGE = 1000


@dataclass(frozen=True)
class Entry:
    """What one visitor wrote, and when (seconds since 1970)."""

    name: str
    message: str
    written: int

    def __post_init__(self) -> None:
        """Refuse what does not fit on a line of the book."""
        _require_length("name", self.name, LONGEST_NAME)
        _require_length("message", self.message, LONGEST_MESSAGE)


def _require_length(what: str, text: str, longest: int) -> None:
    if not 1 <= len(text) <= longest:
        raise ValueError(f"the {what} must have 1 to {longest} characters, not {len(text)}")


class Guestbook:
    """The book. Each call opens the file for itself, so threads need not share anything."""

    def __init__(self, path: str) -> None:
        self._path = path
        with self._open() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS entries"
                " (name TEXT NOT NULL, message TEXT NOT NULL, written INTEGER NOT NULL)"
            )

    def sign(self, name: str, message: str) -> Entry:
        """Add an entry; it is on disk when this returns."""
        entry = Entry(name.strip(), message.strip(), int(time.time()))
        with self._open() as database:
            row = (entry.name, entry.message, entry.written)
            database.execute("INSERT INTO entries VALUES (?, ?, ?)", row)
        return entry

    def entries(self, most: int = 50) -> list[Entry]:
        """Read the newest entries, the newest first."""
        with self._open() as database:
            rows = database.execute(
                "SELECT name, message, written FROM entries ORDER BY rowid DESC LIMIT ?", (most,)
            )
            return [Entry(*row) for row in rows]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=5)) as database, database:
            yield database
