"""Streams of which nobody says how they are compressed: archives, root file systems.

Source: moby pkg/archive/archive.go, DetectCompression.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from onggi.store.decompress import compression_of_bytes, decompressed
from onggi.store.tar_limits import Limits

BEGINNING = 6
_CHUNK = 1 << 20


def decompressed_chunks(stream: BinaryIO, limits: Limits | None = None) -> Iterator[bytes]:
    """Yield what is in a stream, compressed or not, from where it stands to its end.

    Raises: Corrupt: damaged; ArchiveRefused: more comes out than the limits allow; Unsupported:
        nothing here can decompress it.
    """
    beginning = _read_exactly(stream, BEGINNING)
    rejoined = io.BufferedReader(_Rejoined(beginning, stream), _CHUNK)
    yield from decompressed(rejoined, compression_of_bytes(beginning), limits or Limits())


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end: a pipe may give them one by one."""
    data = b""
    while len(data) < size and (piece := stream.read(size - len(data))):
        data += piece
    return data


class _Rejoined(io.RawIOBase):
    """A stream with the bytes that were read from it put back in front."""

    def __init__(self, beginning: bytes, stream: BinaryIO) -> None:
        self._beginning = beginning
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._beginning[: len(buffer)] or self._stream.read(len(buffer))
        self._beginning = self._beginning[len(data) :]
        buffer[: len(data)] = data
        return len(data)
