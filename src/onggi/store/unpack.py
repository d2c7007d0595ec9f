"""From a layer's blob to a directory that overlayfs can have below: read, verify, extract."""

from __future__ import annotations

import hashlib
from contextlib import closing

from onggi.errors import Corrupt
from onggi.store.byte_source import ByteSource
from onggi.store.decompress import compression_of_type, decompressed
from onggi.store.extract import Extractor
from onggi.store.readahead import read_ahead
from onggi.store.tar_limits import Limits
from onggi.store.tar_read import TarReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from onggi.oci.digest import Digest


class Unpacked:
    """What there is to note about an unpacked archive; see layers.py."""

    __slots__ = ("implied", "left_out", "root", "size")

    def __init__(
        self, *, size: int, root: bool, implied: frozenset[bytes], left_out: frozenset[bytes]
    ) -> None:
        self.size = size
        self.root = root
        self.implied = implied
        self.left_out = left_out


def unpack_archive(
    stream: BinaryIO, media_type: str, diff_id: Digest, place: str, limits: Limits | None = None
) -> Unpacked:
    """Unpack a layer's archive into the empty directory `place`.

    The whole stream is read and must have the diff ID's digest. Whatever is raised, the caller
    removes the directory.

    Raises: as Layers.unpack.
    """
    limits = limits or Limits()
    found = hashlib.new(diff_id.algorithm)
    with closing(read_ahead(decompressed(stream, compression_of_type(media_type), limits))) as data:
        source = ByteSource(_hashed(data, found))
        facts = extract(source, place, limits)
        source.drain()
    if found.hexdigest() != diff_id.hex:
        raise Corrupt(
            f"the layer's archive has diff ID {found.name}:{found.hexdigest()}, "
            f"its image says {diff_id}"
        )
    return facts


def extract(source: ByteSource, place: str, limits: Limits) -> Unpacked:
    """Unpack the archive that `source` holds next into the empty directory `place`."""
    archive = TarReader(source, limits)
    with Extractor(place, archive) as extractor:
        for entry in archive:
            extractor.apply(entry)
        extractor.finish()
        return Unpacked(
            size=extractor.size,
            root=extractor.root_stated,
            implied=frozenset(extractor.implied),
            left_out=frozenset(extractor.left_out),
        )


def _hashed(chunks: Iterator[bytes], found: Any) -> Iterator[bytes]:
    for chunk in chunks:
        found.update(chunk)
        yield chunk
