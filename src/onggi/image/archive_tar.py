"""The members of a tar archive, found by their headers alone and read where they lie.

An archive of a gigabyte has a few dozen headers, so skimming it takes no time; but that wants a
file that can seek, and one that is not compressed. What comes otherwise is copied first.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from onggi.errors import Corrupt
from onggi.image.archive_members import MemberNotFound, follow, link_target, plain_name
from onggi.image.compression import BEGINNING, decompressed_chunks
from onggi.store import tar_header, tar_pax
from onggi.store.decompress import compression_of_bytes
from onggi.store.tar_read import MOST_EXTENSIONS
from onggi.store.workshop import Workshop

# A legacy `docker save` writes four members a layer, and a layout two a layer and image.
_MEMBER_LIMIT = 100_000
_EXTENSION_LIMIT = 1 << 20
_FILES = frozenset((tar_header.REGULAR, tar_header.ANCIENT, tar_header.CONTIGUOUS))
_EXTENSIONS = frozenset(
    (tar_header.PAX, tar_header.PAX_GLOBAL, tar_header.GNU_LONG_NAME, tar_header.GNU_LONG_LINK)
)


@contextmanager
def open_tar(workshop: Workshop, stream: BinaryIO) -> Iterator[TarMembers]:
    """Find the members of a tar that may be compressed; `stream` stays the caller's.

    Raises: Corrupt: it is no tar, is cut short, or has members that no image archive has.
    """
    if stream.seekable():
        compression = compression_of_bytes(_read(stream, 0, BEGINNING))
        stream.seek(0)
        if not compression:
            yield TarMembers(stream)
            return
    path = workshop.new_name()
    with open(path, "x+b") as copy:
        os.unlink(path)
        copy.writelines(decompressed_chunks(stream))
        yield TarMembers(copy)


class TarMembers:
    """The files of a tar, by name; links are followed inside the archive."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        for header in _headers(file):
            self._add(header)

    def has(self, name: str) -> bool:
        return follow(name, self._links) in self._places

    def size(self, name: str) -> int:
        return self._place(name)[1]

    def open(self, name: str) -> BinaryIO:
        return io.BufferedReader(_Window(self._file, *self._place(name)), 1 << 16)

    def _place(self, name: str) -> tuple[int, int]:
        try:
            return self._places[follow(name, self._links)]
        except KeyError:
            raise MemberNotFound(name) from None

    def _add(self, header: _Header) -> None:
        name = plain_name(header.name)
        if header.type == tar_header.DIRECTORY or header.name.endswith("/"):
            return
        if name in self._places or name in self._links:
            raise Corrupt(f"archive has two members named {name[:200]!r}")
        if header.type in _FILES:
            self._places[name] = header.offset, header.size
        elif header.type == tar_header.SYMBOLIC_LINK:
            self._links[name] = link_target(name, header.target)
        elif header.type == tar_header.HARD_LINK:
            self._links[name] = plain_name(header.target)
        else:
            raise Corrupt(f"archive member {name[:200]!r} is neither a file nor a link")
        if len(self._places) + len(self._links) > _MEMBER_LIMIT:
            raise Corrupt(f"archive has more than {_MEMBER_LIMIT} members")


class _Header:
    """What a member's headers say; `offset` is where its data begins."""

    def __init__(self, block: bytes, offset: int, extended: dict[bytes, bytes]) -> None:
        self.type = block[156:157]
        self.offset = offset
        self.name = _decoded(extended.get(b"path", tar_header.name(block)))
        self.target = _decoded(extended.get(b"linkpath", tar_header.text(block[157:257])))
        size = extended.get(b"size")
        self.size = tar_header.number(block[124:136]) if size is None else tar_pax.decimal(size)
        if self.type in tar_header.WITHOUT_DATA:
            self.size = 0
        if self.size < 0:
            raise Corrupt(f"archive member {self.name[:200]!r} has a negative size")
        if any(key.startswith(b"GNU.sparse.") for key in extended):
            raise Corrupt(f"archive member {self.name[:200]!r} is a sparse file")

    @property
    def end(self) -> int:
        """Where the next header begins."""
        return self.offset + -(-self.size // tar_header.BLOCK) * tar_header.BLOCK


class _Window(io.RawIOBase):
    """A part of a file that is shared with other windows."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._offset)
        data = self._file.read(min(len(buffer), self._left))
        if not data and self._left and len(buffer):
            raise Corrupt("archive was cut short while it was read")
        buffer[: len(data)] = data
        self._offset += len(data)
        self._left -= len(data)
        return len(data)


def _headers(file: BinaryIO) -> Iterator[_Header]:
    """Yield the members' headers, extensions applied to what they extend."""
    offset = 0
    length = file.seek(0, os.SEEK_END)
    extended: dict[bytes, bytes] = {}
    extensions = 0
    while (block := _read(file, offset, tar_header.BLOCK)) not in (b"", tar_header.ZERO_BLOCK):
        tar_header.require_checksum(block)
        kind = block[156:157]
        plain = _Header(block, offset + tar_header.BLOCK, {} if kind in _EXTENSIONS else extended)
        if plain.offset + plain.size > length:
            raise Corrupt(f"archive ends in the middle of {plain.name[:200]!r}")
        if kind in _EXTENSIONS:
            extensions += 1
            if extensions > MOST_EXTENSIONS:
                raise Corrupt(f"archive has more than {MOST_EXTENSIONS} extended headers in a row")
            extended |= _extension(file, plain)
        else:
            yield plain
            extended, extensions = {}, 0
        offset = plain.end


def _extension(file: BinaryIO, header: _Header) -> dict[bytes, bytes]:
    if header.size > _EXTENSION_LIMIT:
        raise Corrupt(f"archive has an extended header of {header.size} bytes")
    data = _read(file, header.offset, header.size)
    if header.type == tar_header.GNU_LONG_NAME:
        return {b"path": tar_header.text(data)}
    if header.type == tar_header.GNU_LONG_LINK:
        return {b"linkpath": tar_header.text(data)}
    records = dict(tar_pax.parse(data))
    return records if header.type == tar_header.PAX else {}


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if data and len(data) < size:
        raise Corrupt("archive is cut short" if offset else "not a tar archive")
    return data


def _decoded(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise Corrupt(f"archive has a name that is not UTF-8: {name[:200]!r}") from None
