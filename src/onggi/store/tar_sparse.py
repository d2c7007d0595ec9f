"""Sparse files in tar archives: only the pieces with data are there, with a map of where they go.

Four notations, all GNU tar's: the old one in the header block and further blocks; and in extended
headers 0.0 (an `offset` and a `numbytes` record for each piece), 0.1 (one `map` record) and 1.0
(decimal lines at the beginning of the data).

Source: GNU tar manual, "Storing Sparse Files", "PAX 0", "PAX 1".
"""

from __future__ import annotations

from onggi.store.tar_header import BLOCK, number
from onggi.store.tar_limits import BadArchive
from onggi.store.tar_pax import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Pieces = list[tuple[int, int]]

_PIECE = 24
_IN_HEADER, _IN_HEADER_AT, _MORE_AT, _SIZE_AT = 4, 386, 482, 483
_IN_BLOCK, _MORE_IN_BLOCK_AT = 21, 504
_MAX_PIECES = 1 << 20
_PREFIX = b"GNU.sparse."


def read_old(block: bytes, take_block: Callable[[], bytes]) -> tuple[int, Pieces]:
    """Read the old notation; return the file's size, holes included, and its pieces."""
    pieces = _old_pieces(block, _IN_HEADER_AT, _IN_HEADER)
    size = number(block[_SIZE_AT : _SIZE_AT + 12])
    more = block[_MORE_AT]
    while more:
        block = take_block()
        pieces += _old_pieces(block, 0, _IN_BLOCK)
        _require_few(pieces)
        more = block[_MORE_IN_BLOCK_AT]
    return size, pieces


def _old_pieces(block: bytes, start: int, count: int) -> Pieces:
    fields = (block[at : at + _PIECE] for at in range(start, start + count * _PIECE, _PIECE))
    return [(number(each[:12]), number(each[12:])) for each in fields if each[0]]


def read_pax(
    records: list[tuple[bytes, bytes]], take_block: Callable[[], bytes]
) -> tuple[int, Pieces] | None:
    """Read the notations 0.0, 0.1 and 1.0; None if the records speak of no sparse file.

    `take_block` is used for 1.0 only, whose map precedes the data.
    """
    last = dict(records)
    if last.get(_PREFIX + b"major", b"0") == b"1":
        return decimal(last.get(_PREFIX + b"realsize", b"")), _read_map_1_0(take_block)
    if _PREFIX + b"size" not in last:
        return None
    flat = last.get(_PREFIX + b"map")
    if flat is None:
        keys = (_PREFIX + b"offset", _PREFIX + b"numbytes")
        values = [value for key, value in records if key in keys]
    else:
        values = flat.split(b",") if flat else []
    return decimal(last[_PREFIX + b"size"]), _pairs(list(map(decimal, values)))


def _read_map_1_0(take_block: Callable[[], bytes]) -> Pieces:
    """Read decimal lines, padded to whole blocks: how many pieces, then their numbers."""
    lines: list[bytes] = []
    rest, wanted = b"", 1
    while len(lines) < wanted:
        *whole, rest = (rest + take_block()).split(b"\n")
        lines += whole
        wanted = 1 + 2 * decimal(lines[0]) if lines else 1
        if wanted > 2 * _MAX_PIECES or len(rest) > BLOCK:
            raise BadArchive("the map of a sparse file is too long")
    return _pairs([decimal(line) for line in lines[1:wanted]])


def _pairs(numbers: list[int]) -> Pieces:
    if len(numbers) % 2:
        raise BadArchive("the map of a sparse file has half a piece")
    pieces = list(zip(numbers[::2], numbers[1::2], strict=True))
    _require_few(pieces)
    return pieces


def _require_few(pieces: Pieces) -> None:
    if len(pieces) > _MAX_PIECES:
        raise BadArchive("the map of a sparse file is too long")


def require_sound(pieces: Pieces, size: int, data_bytes: int) -> None:
    """Check that the pieces lie within the file, in order, and are all of the data.

    Raises: BadArchive
    """
    ends = [0] + [offset + length for offset, length in pieces]
    starts = [offset for offset, _ in pieces] + [size]
    in_order = all(end <= start for end, start in zip(ends, starts, strict=True))
    if not in_order or any(start < 0 for start in starts):
        raise BadArchive("the map of a sparse file overlaps itself or the file's end")
    if any(length < 0 for _, length in pieces) or sum(b for _, b in pieces) != data_bytes:
        raise BadArchive("the map of a sparse file does not fit its data")
