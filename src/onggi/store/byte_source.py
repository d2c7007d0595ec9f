"""A stream of byte chunks, taken in pieces of one's own size without copying more than needed."""

from __future__ import annotations

from onggi.store.atomic import write_all
from onggi.store.tar_limits import BadArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class ByteSource:
    """What an iterator of chunks yields, seen as one stream; `position` counts what was taken."""

    __slots__ = ("_chunks", "_window", "position")

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._window = memoryview(b"")
        self.position = 0

    def take(self, count: int) -> bytes:
        """Take exactly `count` bytes.

        Raises: BadArchive: the stream ends before.
        """
        data = self.take_at_most(count)
        if len(data) < count:
            raise BadArchive("it ends in the middle of an entry")
        return data

    def take_at_most(self, count: int) -> bytes:
        """Take `count` bytes, fewer only where the stream ends."""
        if len(self._window) >= count:
            return self._at_hand(count).tobytes()
        return b"".join(map(bytes, self.pieces(count)))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Take `count` bytes in the pieces in which they come, fewer only at the stream's end."""
        while count:
            if not self._window and not self._refill():
                return
            piece = self._window[:count]
            self._window = self._window[len(piece) :]
            self.position += len(piece)
            count -= len(piece)
            yield piece

    def copy_to(self, fd: int, count: int) -> None:
        """Take exactly `count` bytes and write them to an open file.

        Raises: BadArchive: the stream ends before.
        """
        if len(self._window) >= count:  # as with most files: no loop is needed
            write_all(fd, self._at_hand(count))
            return
        for piece in self.pieces(count):
            write_all(fd, piece)
            count -= len(piece)
        if count:
            raise BadArchive("it ends in the middle of a file")

    def skip(self, count: int) -> None:
        """Take exactly `count` bytes and forget them.

        Raises: BadArchive: the stream ends before.
        """
        if len(self._window) >= count:
            self._at_hand(count)
            return
        for piece in self.pieces(count):
            count -= len(piece)
        if count:
            raise BadArchive("it ends in the middle of an entry")

    def drain(self) -> None:
        """Take all that is left."""
        while self._refill():
            self.position += len(self._window)
        self._window = memoryview(b"")

    def _at_hand(self, count: int) -> memoryview:
        """Take bytes of which it is known that they are in the window."""
        piece = self._window[:count]
        self._window = self._window[count:]
        self.position += count
        return piece

    def _refill(self) -> bool:
        """Fetch the next chunk that is not empty; False at the end."""
        for chunk in self._chunks:
            if chunk:
                self._window = memoryview(chunk)
                return True
        return False
