"""Letting a second thread fetch what comes next while the first works on what is here.

Decompressing runs outside the interpreter's lock, as do hashing and the system calls that make
files, so the two go on at the same time.
"""

from __future__ import annotations

import queue
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    Item = bytes | BaseException | None

_AHEAD = 8


def read_ahead(chunks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """Yield the chunks, fetched up to a few ahead; what fetching raises is raised here.

    The thread is gone when the generator ends, for whichever reason; close it if you leave early.
    """
    fetched: queue.Queue[Item] = queue.Queue(_AHEAD)
    enough = threading.Event()
    thread = threading.Thread(
        target=_fetch, args=(chunks, fetched, enough), name="read ahead", daemon=True
    )
    thread.start()
    try:
        while (item := fetched.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        enough.set()
        while thread.is_alive():
            _make_room(fetched)
            thread.join(0.01)


def _fetch(
    chunks: Generator[bytes, None, None], fetched: queue.Queue[Item], enough: threading.Event
) -> None:
    try:
        for chunk in chunks:
            fetched.put(chunk)
            if enough.is_set():
                return chunks.close()
        fetched.put(None)
    except BaseException as error:  # noqa: BLE001  # raised again by the thread that works
        fetched.put(error)


def _make_room(fetched: queue.Queue[Item]) -> None:
    """Let a thread that waits to hand something over go on."""
    try:
        fetched.get_nowait()
    except queue.Empty:
        return
