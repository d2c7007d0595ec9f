"""Streams of which nobody says how they are compressed: archives, root file systems.

Layers are compressed with gzip or zstd, or not at all. What users hand to `load` and `import` may
be compressed with bzip2 or xz, too.

Source: moby pkg/archive/archive.go, DetectCompression.
"""

from __future__ import annotations

import bz2
import io
import lzma
from collections.abc import Iterator
from typing import BinaryIO

from onggi.errors import Corrupt
from onggi.store.decompress import compression_of_bytes, decompressed
from onggi.store.tar_limits import ArchiveRefused, Limits

BEGINNING = 6
_CHUNK = 1 << 20
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}


def compression_of(beginning: bytes) -> str:
    """Tell from its first bytes how a stream is compressed, "" for in no way."""
    for magic, name in _OTHERS.items():
        if beginning.startswith(magic):
            return name
    return compression_of_bytes(beginning)


def decompressed_chunks(stream: BinaryIO, limits: Limits | None = None) -> Iterator[bytes]:
    """Yield what is in a stream, compressed or not, from where it stands to its end.

    Raises: Corrupt: damaged; ArchiveRefused: more comes out than the limits allow; Unsupported:
        nothing here can decompress it.
    """
    bounds = limits or Limits()
    beginning = _read_exactly(stream, BEGINNING)
    compression = compression_of(beginning)
    rejoined = io.BufferedReader(_Rejoined(beginning, stream), _CHUNK)
    if compression in _OTHERS.values():
        yield from _by_library(rejoined, compression, bounds.total_bytes)
    else:
        yield from decompressed(rejoined, compression, bounds)


def _by_library(stream: BinaryIO, compression: str, limit: int) -> Iterator[bytes]:
    total = 0
    with bz2.BZ2File(stream) if compression == "bzip2" else lzma.LZMAFile(stream) as file:
        while chunk := _read_or_refuse(file, compression):
            total += len(chunk)
            if total > limit:
                raise ArchiveRefused(f"it has more than {limit} bytes")
            yield chunk


def _read_or_refuse(file: bz2.BZ2File | lzma.LZMAFile, compression: str) -> bytes:
    try:
        return file.read(_CHUNK)
    except (EOFError, OSError, lzma.LZMAError) as error:
        raise Corrupt(f"damaged {compression} stream: {error}") from error


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
