"""ADD of a local archive: told by its contents, unpacked into the destination.

Source: docs.docker.com "ADD, Adding local tar archives"; buildkit, solver/llbsolver/file/unpack.go.
"""

from __future__ import annotations

import os

from onggi.build.errors import BuildError
from onggi.errors import Corrupt, OnggiError
from onggi.linux.fd import Fd
from onggi.store.byte_source import ByteSource
from onggi.store.decompress import compression_of_bytes, decompressed
from onggi.store.extract import Extractor
from onggi.store.tar_limits import Limits
from onggi.store.tar_read import TarReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from onggi.build.copying import Destination
    from onggi.build.tree import Found, Tree
    from onggi.store.tar_read import Entry

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


def unpack_archive(tree: Tree, found: Found, destination: Destination, path: str) -> bool:
    """Unpack `found` into the directory `path`, if it is an archive.

    Returns: whether it is one; if not, nothing was done.
    Raises: BuildError: it is one, and damaged or unsafe.
    """
    for entry in tree.walk(found):
        if not entry.is_file:
            return False
        with Fd(entry.open()) as source, open(source.take(), "rb") as file:
            return unpack_stream(file, found.name, destination, path)
    return False


def unpack_stream(file: BufferedReader, name: str, destination: Destination, path: str) -> bool:
    """Unpack what comes, compressed or not, into the directory `path`; otherwise the same."""
    archive = TarReader(ByteSource(_chunks(file)), Limits())
    entries = iter(archive)
    try:
        first = _first(entries)
        if first is not None:
            _unpack_all(archive, first, entries, destination, path)
    except OnggiError as error:
        raise BuildError(f"{name}: {error.message}", hint=error.hint) from error
    return first is not None


def _first(entries: Iterator[Entry]) -> Entry | None:
    """Read the first entry; None if this is no archive, or one of nothing."""
    try:
        return next(entries, None)
    except (EOFError, OSError, Corrupt):
        return None


def _unpack_all(
    archive: TarReader,
    first: Entry,
    entries: Iterator[Entry],
    destination: Destination,
    path: str,
) -> None:
    destination.make_directories(path)
    owner = destination.attributes.owner
    with (
        Fd(destination.inside.open(path, _DIRECTORY)) as directory,
        Extractor(f"/proc/self/fd/{directory.fileno()}", archive) as extractor,
    ):
        entry: Entry | None = first
        while entry is not None:
            _require_plain(entry)
            if owner is not None:
                entry.uid, entry.gid = owner
            if entry.path:
                extractor.apply(entry)
            entry = next(entries, None)
        extractor.finish()


def _require_plain(entry: Entry) -> None:
    """Refuse what would be taken for a whiteout once it lies in a layer."""
    if entry.path.startswith(b".wh.") or b"/.wh." in entry.path:
        raise BuildError(f"{os.fsdecode(entry.path)!r} would hide files of the image")


def _chunks(file: BufferedReader) -> Iterator[bytes]:
    """Yield what is in a file that may be compressed in any of the usual ways."""
    yield from decompressed(file, compression_of_bytes(file.peek(8)), Limits())
