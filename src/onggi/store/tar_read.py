"""Reading a tar archive as it streams by: ustar, PAX, GNU long names and sparse files.

The reader hands out each entry with every extension applied, checks it against the limits before
anything is done for it, and skips the data that nobody took. It touches no file.

Source: pax(1); GNU tar manual, "Tar Internals". Where archives are ambiguous, Go's archive/tar,
which Docker and containerd read with, is followed.
"""

from __future__ import annotations

from onggi.store import tar_header as header
from onggi.store import tar_pax as pax
from onggi.store import tar_sparse as sparse
from onggi.store.tar_limits import ArchiveRefused, BadArchive, Limits, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from onggi.store.byte_source import ByteSource

    Records = list[tuple[bytes, bytes]]
    Sparse = tuple[int, list[tuple[int, int]]]

_KINDS = header.WITHOUT_DATA | {header.REGULAR}
MOST_EXTENSIONS = 64  # before an entry, which needs three: a path, a link and the rest
_NOBODY = (1 << 32) - 1
_LAST_TIME_NS = (1 << 62) * 1_000_000_000
_SAME_AS_REGULAR = frozenset((header.ANCIENT, header.CONTIGUOUS, header.GNU_SPARSE))


class Entry:
    """One entry of an archive.

    `path` is relative and free of `.`, `..` and empty components; "" is the root directory.
    `kind` is a type flag of tar_header, with everything that is a file's as REGULAR. `size` counts
    holes; `pieces` says where the data goes if there are any.
    """

    __slots__ = (
        "device",
        "gid",
        "kind",
        "link",
        "mode",
        "mtime_ns",
        "path",
        "pieces",
        "size",
        "uid",
        "xattrs",
    )

    def __init__(self, kind: bytes, block: bytes) -> None:
        self.kind = kind
        self.path = b""
        self.link = b""
        self.mode = header.number(block[100:108]) & 0o7777
        self.uid = header.number(block[108:116])
        self.gid = header.number(block[116:124])
        self.size = header.number(block[124:136])
        self.mtime_ns = header.number(block[136:148]) * 1_000_000_000
        self.device = (0, 0)
        self.pieces: list[tuple[int, int]] | None = None
        self.xattrs: dict[str, bytes] = {}


class TarReader:
    """The entries of an archive, once and in order."""

    __slots__ = ("_data_left", "_limits", "_padding", "_source", "_total", "count")

    def __init__(self, source: ByteSource, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._data_left = 0
        self._padding = 0
        self._total = 0
        self.count = 0

    def __iter__(self) -> Iterator[Entry]:
        """Yield each entry; its data can be copied until the next one is asked for.

        Raises: BadArchive, ArchiveRefused
        """
        while (entry := self._next()) is not None:
            yield entry
            if left := self._data_left + self._padding:
                self._source.skip(left)

    def copy_data(self, fd: int, entry: Entry) -> None:
        """Write the data of the entry handed out last to an open, empty file."""
        if entry.pieces is None:
            self._source.copy_to(fd, self._data_left)
        else:
            self._copy_pieces(fd, entry)
        self._data_left = 0

    def _copy_pieces(self, fd: int, entry: Entry) -> None:
        import os

        for offset, length in entry.pieces or ():
            os.lseek(fd, offset, os.SEEK_SET)
            self._source.copy_to(fd, length)
        os.ftruncate(fd, entry.size)

    def _next(self) -> Entry | None:
        """Read headers up to and including an entry's own."""
        long_name = long_link = b""
        records: Records = []
        extensions = 0
        while (block := self._block()) is not None:
            extensions += 1
            if extensions > MOST_EXTENSIONS:
                raise ArchiveRefused(f"more than {MOST_EXTENSIONS} extended headers in a row")
            kind = block[156:157]
            if kind == header.PAX:
                records = pax.parse(self._extension(block))
            elif kind == header.GNU_LONG_NAME:
                long_name = self._extension(block).rstrip(b"\0")
            elif kind == header.GNU_LONG_LINK:
                long_link = self._extension(block).rstrip(b"\0")
            elif kind == header.PAX_GLOBAL:
                # Comments of whoever made the archive, such as git's; Docker ignores them as well.
                self._extension(block)
            else:
                return self._entry(block, records, long_name, long_link)
        if records or long_name or long_link:
            raise BadArchive("it ends after an extended header")
        return None

    def _block(self) -> bytes | None:
        """Read the next header block; None at the end of the archive.

        Two blocks of zeros end it; a single one, and none at all, are taken for the end too.
        """
        block = self._source.take_at_most(header.BLOCK)
        if not block or block == header.ZERO_BLOCK:
            return None
        if len(block) < header.BLOCK:
            raise BadArchive("it ends in the middle of a header")
        header.require_checksum(block)
        return block

    def _extension(self, block: bytes) -> bytes:
        """Read the data of a header that describes the next one."""
        size = header.number(block[124:136])
        if not 0 <= size <= self._limits.pax_bytes:
            raise ArchiveRefused(
                f"an extended header of {size} bytes, {self._limits.pax_bytes} are allowed"
            )
        data = self._source.take(size)
        self._source.skip(-size % header.BLOCK)
        return data

    def _entry(self, block: bytes, records: Records, long_name: bytes, long_link: bytes) -> Entry:
        entry = Entry(_kind(block), block)
        path = long_name or header.name(block)
        entry.link = long_link or header.text(block[157:257])
        if entry.kind in (header.CHARACTER_DEVICE, header.BLOCK_DEVICE):
            entry.device = (header.number(block[329:337]), header.number(block[337:345]))
        if records:
            path = _apply_records(entry, path, records)
        if entry.kind == header.REGULAR and block[156:157] == header.ANCIENT and path[-1:] == b"/":
            entry.kind = header.DIRECTORY  # older than POSIX, which knew no type for directories
        _require_ranges(entry)
        self._begin_data(entry)
        entry.path = self._clean(path)
        self._require_link(entry)
        if entry.kind == header.REGULAR:
            self._find_pieces(entry, block, records)
        self._count(entry)
        return entry

    def _begin_data(self, entry: Entry) -> None:
        self._data_left = 0 if entry.kind in header.WITHOUT_DATA else entry.size
        self._padding = -self._data_left % header.BLOCK

    def _find_pieces(self, entry: Entry, block: bytes, records: Records) -> None:
        if block[156:157] == header.GNU_SPARSE and header.is_gnu(block):
            found: Sparse | None = sparse.read_old(block, lambda: self._source.take(header.BLOCK))
        else:
            found = sparse.read_pax(records, self._data_block) if records else None
        if found:
            entry.size, entry.pieces = found
            sparse.require_sound(entry.pieces, entry.size, self._data_left)

    def _data_block(self) -> bytes:
        """Take one block of the entry's data: the map of a sparse file is at its beginning."""
        if self._data_left < header.BLOCK:
            raise BadArchive("the map of a sparse file is cut off")
        self._data_left -= header.BLOCK
        return self._source.take(header.BLOCK)

    def _clean(self, path: bytes) -> bytes:
        """Make a path relative and plain, and refuse one that leads out of the archive's root."""
        self._require_text(path)
        parts: list[bytes] = []
        for part in path.split(b"/"):
            if part == b"..":
                if not parts:
                    raise ArchiveRefused(f"{quoted(path)} leads out of the archive's root")
                parts.pop()
            elif part not in (b"", b"."):
                parts.append(part)
        return b"/".join(parts)

    def _require_link(self, entry: Entry) -> None:
        if entry.kind == header.HARD_LINK:
            entry.link = self._clean(entry.link)
        elif entry.kind == header.SYMBOLIC_LINK:
            self._require_text(entry.link)

    def _require_text(self, path: bytes) -> None:
        if len(path) > self._limits.name_bytes:
            raise ArchiveRefused(
                f"a path of {len(path)} bytes ({quoted(path[:60])}), "
                f"{self._limits.name_bytes} are allowed"
            )
        if b"\0" in path:
            raise ArchiveRefused(f"a NUL byte in the path {quoted(path)}")

    def _count(self, entry: Entry) -> None:
        self.count += 1
        if self.count > self._limits.entries:
            raise ArchiveRefused(f"more than {self._limits.entries} entries")
        if entry.kind == header.REGULAR:
            self._total += entry.size
            if self._total > self._limits.total_bytes:
                raise ArchiveRefused(
                    f"its files have more than {self._limits.total_bytes} bytes "
                    f"(at {quoted(entry.path)})"
                )


def _kind(block: bytes) -> bytes:
    kind = block[156:157]
    if kind in _SAME_AS_REGULAR:
        return header.REGULAR
    if kind not in _KINDS:
        raise ArchiveRefused(f"an entry of unknown type {kind!r} ({quoted(header.name(block))})")
    return kind


def _require_ranges(entry: Entry) -> None:
    """Refuse numbers that no inode could have.

    Owner -1 would mean "leave it" to chown(2), so 32 bits less one are the owners there are.
    """
    if not (0 <= entry.uid < _NOBODY and 0 <= entry.gid < _NOBODY):
        raise BadArchive(f"an owner that no file can have: {entry.uid}:{entry.gid}")
    if entry.size < 0 or not -_LAST_TIME_NS < entry.mtime_ns < _LAST_TIME_NS:
        raise BadArchive("a size or time that no file can have")
    major, minor = entry.device
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise BadArchive(f"a device that no kernel has: {major}:{minor}")


def _apply_records(entry: Entry, path: bytes, records: Records) -> bytes:
    """Let an extended header overrule the entry's own; return the path.

    An empty value takes the record back, so that the header's own field counts.
    """
    last = {key: value for key, value in records if value or key.startswith(pax.XATTR)}
    entry.link = last.get(b"linkpath", entry.link)
    for key, (attribute, parse) in _FIELDS.items():
        if key in last:
            setattr(entry, attribute, parse(last[key]))
    for key, value in last.items():
        if key.startswith(pax.XATTR):
            entry.xattrs[key[len(pax.XATTR) :].decode("utf-8", "surrogateescape")] = value
    return last.get(b"GNU.sparse.name", last.get(b"path", path))


_FIELDS = {
    b"size": ("size", pax.decimal),
    b"uid": ("uid", pax.decimal),
    b"gid": ("gid", pax.decimal),
    b"mtime": ("mtime_ns", pax.nanoseconds),
}
