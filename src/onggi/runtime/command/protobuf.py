"""Protocol Buffers as bytes, as far as criu's messages need them. Pure.

A message is its fields, one after the other, each a key and a value. The key is the field's number,
times 8, plus how the value is written: 0, a number, seven bits to a byte, the lowest first; 2, a
length and that many bytes, for text and for messages in messages.

Source: Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

_NUMBER = 0
_BYTES = 2
_FIXED = {1: 8, 5: 4}  # sizes of the other two ways
_SIXTY_FOUR_BITS = (1 << 64) - 1


def field(number: int, value: bool | int | str | bytes) -> bytes:
    """Return one field. A negative number is written as it would be in 64 bits."""
    if isinstance(value, int):
        return _varint(number << 3 | _NUMBER) + _varint(value & _SIXTY_FOUR_BITS)
    content = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def fields(message: bytes) -> dict[int, int | bytes]:
    """Return the fields of a message by their number; of several with one, the last.

    Raises: ValueError: it is cut short.
    """
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        how = key & 7
        if how == _NUMBER:
            found[key >> 3], at = _read_varint(message, at)
            continue
        if how == _BYTES:
            size, at = _read_varint(message, at)
        elif how in _FIXED:
            size = _FIXED[how]
        else:
            raise ValueError(f"a field that is written in way {how}")
        if at + size > len(message):
            raise ValueError("a message that is cut short")
        found[key >> 3] = message[at : at + size]
        at += size
    return found


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return (the number that begins there, where it ends)."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number that does not end")
