"""How much an archive may ask for, and the ways in which one is refused."""

from __future__ import annotations

from onggi.errors import Corrupt, InvalidInput


class BadArchive(Corrupt):
    """Bytes that are not a well-formed tar archive."""

    def __init__(self, message: str) -> None:
        super().__init__(f"damaged archive: {message}")


class ArchiveRefused(InvalidInput):
    """A well-formed archive that asks for something unsafe, impossible or too large."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"archive refused: {message}", hint=hint)


class Limits:
    """Bounds of one archive; the defaults are far above what images need.

    Args:
        entries: files, directories and whiteouts.
        total_bytes: of the archive, uncompressed, and of the files in it, holes included.
        pax_bytes: of one extended header (Go's archive/tar allows as much).
        name_bytes: of one path or link target, as the kernel's PATH_MAX.
        ratio: uncompressed to compressed bytes, once `ratio_free_bytes` have come out.
        ratio_free_bytes: what may be compressed however well.
    """

    __slots__ = (
        "entries",
        "name_bytes",
        "pax_bytes",
        "ratio",
        "ratio_free_bytes",
        "total_bytes",
    )

    def __init__(
        self,
        *,
        entries: int = 4_000_000,
        total_bytes: int = 256 << 30,
        pax_bytes: int = 1 << 20,
        name_bytes: int = 4095,
        ratio: int = 200,
        ratio_free_bytes: int = 4 << 30,
    ) -> None:
        self.entries = entries
        self.total_bytes = total_bytes
        self.pax_bytes = pax_bytes
        self.name_bytes = name_bytes
        self.ratio = ratio
        self.ratio_free_bytes = ratio_free_bytes


def quoted(name: bytes) -> str:
    """Write a path from an archive so that it cannot disturb a terminal or a log."""
    shown = name.decode("utf-8", "backslashreplace")
    return repr(shown if len(shown) <= 200 else shown[:200] + "...")
