"""Extended headers: lines `<length> <key>=<value>` that go before an entry's own header.

Source: pax(1), "pax Extended Header".
"""

from __future__ import annotations

from onggi.store.tar_limits import BadArchive

# Source: star(1), "SCHILY.xattr"; what Docker, containerd and GNU tar --xattrs write.
XATTR = b"SCHILY.xattr."
_MAX_DIGITS = 20


def parse(data: bytes) -> list[tuple[bytes, bytes]]:
    """Split an extended header into its records, in order; a key may come more than once.

    Raises: BadArchive
    """
    records = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + _MAX_DIGITS)
        digits = data[position : max(space, position)]
        end = position + int(digits) if digits.isdigit() else 0
        if not position < space < end <= len(data) or data[end - 1] != ord("\n"):
            raise BadArchive("an extended header's record has a wrong length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise BadArchive("an extended header's record has no key")
        records.append((key, value))
        position = end
    return records


def encode(records: list[tuple[bytes, bytes]]) -> bytes:
    """Write records, in this order."""
    return b"".join(_record(key, value) for key, value in records)


def _record(key: bytes, value: bytes) -> bytes:
    """Write one record, whose length counts its own digits too."""
    rest = b" %b=%b\n" % (key, value)
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) + len(rest) != length:
        length += 1
    return b"%d%b" % (length, rest)


def decimal(value: bytes) -> int:
    """Read a whole number.

    Raises: BadArchive
    """
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise BadArchive(f"{value[:30]!r} in an extended header is not a number")
    return int(value)


def nanoseconds(value: bytes) -> int:
    """Read a time in seconds with a fraction, such as `-1.25`, without losing digits.

    Raises: BadArchive
    """
    whole, _, fraction = value.removeprefix(b"-").partition(b".")
    if fraction and not fraction.isdigit():
        raise BadArchive(f"{value[:30]!r} in an extended header is not a time")
    amount = decimal(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    return -amount if value.startswith(b"-") else amount


def seconds(time_ns: int) -> bytes:
    """Write a time as `nanoseconds` reads it, as short as it can be."""
    whole, fraction = divmod(abs(time_ns), 1_000_000_000)
    digits = (b".%09d" % fraction).rstrip(b"0").rstrip(b".")
    return b"%b%d%b" % (b"-" if time_ns < 0 else b"", whole, digits)
