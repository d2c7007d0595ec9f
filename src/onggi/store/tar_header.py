"""The 512-byte header of a tar archive, its fields and numbers.

    offset  size  field                     offset  size  field
    0       100   name                      257     8     magic and version
    100     8     mode                      265     32    uname
    108     8     uid                       297     32    gname
    116     8     gid                       329     8     devmajor
    124     12    size                      337     8     devminor
    136     12    mtime                     345     155   prefix (POSIX)
    148     8     chksum                    386     96    4 pieces of a sparse file (old GNU)
    156     1     typeflag                  482     1     more of them follow (old GNU)
    157     100   linkname                  483     12    size with the holes (old GNU)

POSIX ends the magic `ustar` with a NUL, GNU with a space; an archive older than both has neither.

Source: pax(1), "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import os
from functools import lru_cache

from onggi.store.tar_limits import BadArchive

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

REGULAR, HARD_LINK, SYMBOLIC_LINK = b"0", b"1", b"2"
CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO = b"3", b"4", b"5", b"6"
CONTIGUOUS, ANCIENT = b"7", b"\0"
PAX, PAX_GLOBAL = b"x", b"g"
GNU_LONG_NAME, GNU_LONG_LINK, GNU_SPARSE = b"L", b"K", b"S"

# Entries of these types have no data, whatever their size field says.
# Source: Go archive/tar, isHeaderOnlyType.
WITHOUT_DATA = frozenset(
    (HARD_LINK, SYMBOLIC_LINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO)
)

_POSIX_MAGIC = b"ustar\0"
_GNU_MAGIC = b"ustar  \0"
_MAX_NUMBER = 1 << 63
_CHECKSUM_AS_BLANKS = 8 * ord(" ")


@lru_cache(maxsize=1024)
def number(field: bytes) -> int:
    """Read a numeric field: octal digits, or GNU's base 256 if the first bit is set.

    An archive has few different owners, modes and times, hence the cache.

    Raises: BadArchive
    """
    if field[0] & 0x80:
        return _base_256(field)
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    # int() alone would take signs and underscores.
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise BadArchive(f"{digits!r} is not an octal number")
    return int(digits, 8)


def _base_256(field: bytes) -> int:
    """Read a big-endian number in two's complement whose first bit only marks the format."""
    value = int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:])
    if field[0] & 0x40:
        value -= 1 << (8 * len(field) - 1)
    if not -_MAX_NUMBER <= value < _MAX_NUMBER:
        raise BadArchive("a number is larger than 64 bits")
    return value


def text(field: bytes) -> bytes:
    """Read a text field: up to the first NUL, or all of it."""
    return field.partition(b"\0")[0]


def require_checksum(block: bytes) -> None:
    """Compare the header's checksum, which old programs computed with signed bytes.

    Raises: BadArchive
    """
    stated = number(block[148:156])
    plain = sum(block) - sum(block[148:156]) + _CHECKSUM_AS_BLANKS
    if stated == plain:
        return
    high = sum(byte > 127 for byte in block[:148]) + sum(byte > 127 for byte in block[156:])
    if stated != plain - 256 * high:
        raise BadArchive("a header's checksum does not match (is this a tar archive?)")


def name(block: bytes) -> bytes:
    """Read the path: a POSIX header may have the front part of a long one in `prefix`."""
    path = text(block[0:100])
    if block[257:263] == _POSIX_MAGIC and block[345]:
        return text(block[345:500]) + b"/" + path
    return path


def is_gnu(block: bytes) -> bool:
    """Tell whether GNU tar's old format wrote the header."""
    return block[257:265] == _GNU_MAGIC


def encode(
    path: bytes,
    kind: bytes,
    *,
    mode: int,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: int = 0,
) -> bytes:
    """Write a POSIX header; numbers that do not fit are written as 0, for PAX to overrule."""
    major, minor = os.major(device), os.minor(device)
    fields = (
        path.ljust(100, b"\0"),
        _octal(mode, 8) + _octal(uid, 8) + _octal(gid, 8),
        _octal(size, 12) + _octal(mtime, 12),
        b" " * 8,
        kind,
        link.ljust(100, b"\0"),
        (_POSIX_MAGIC + b"00").ljust(72, b"\0"),
        _octal(major, 8) + _octal(minor, 8),
        bytes(167),
    )
    block = b"".join(fields)
    return b"%b%06o\0 %b" % (block[:148], sum(block), block[156:])


def _octal(value: int, width: int) -> bytes:
    digits = b"%0*o" % (width - 1, max(value, 0))
    return (digits if len(digits) < width else b"0" * (width - 1)) + b"\0"
