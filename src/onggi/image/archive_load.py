"""Loading images from archives: verified first, visible afterwards.

Every blob is compared with its digest and size, every layer with its diff ID, before the first of
the archive's images gets a name. A load that fails leaves nothing: what it stored belonged to a
lease, and is collected when that ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from onggi.errors import Corrupt, Unsupported
from onggi.image.archive_members import DirectoryMembers, Members
from onggi.image.archive_offers import Offer, OfferedLayer, offers
from onggi.image.archive_tar import open_tar
from onggi.image.assembly import assemble
from onggi.image.compression import BEGINNING
from onggi.image.images import Image, Layer, put_image
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.platform import Platform
from onggi.oci.reference import Reference
from onggi.store.collect import collect
from onggi.store.decompress import compression_of_bytes, compression_of_type, decompressed
from onggi.store.store import Store
from onggi.store.tar_limits import Limits

_CHUNK = 1 << 20

# Called while a layer is copied: its diff ID, the bytes so far, the bytes in all.
Progress = Callable[[Digest, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """An image that was loaded, and the names it has got by that."""

    image: Image
    references: tuple[Reference, ...]


def load_archive(
    store: Store,
    stream: BinaryIO,
    *,
    platform: Platform | None = None,
    progress: Progress | None = None,
) -> list[Loaded]:
    """Load every image of a docker or OCI archive, compressed or not.

    Success means that all of its images are in the store, under the names that the archive gives
    them; images that had those names before are left without. A stream that cannot seek is
    copied to the store's temporary directory first.

    Raises: Corrupt, InvalidInput, Unsupported: what is wrong with the archive; nothing is loaded.
        PlatformNotFound: an image of the archive is not for `platform`.
    """
    with _or_nothing(store), open_tar(store.workshop, stream) as members:
        return _Loader(store, members, progress).load(offers(members, platform))


def load_layout(
    store: Store,
    directory: str,
    *,
    platform: Platform | None = None,
    progress: Progress | None = None,
) -> list[Loaded]:
    """Load every image of an OCI image layout, a directory; otherwise as `load_archive`."""
    with _or_nothing(store), DirectoryMembers(directory) as members:
        return _Loader(store, members, progress).load(offers(members, platform))


@contextmanager
def _or_nothing(store: Store) -> Iterator[None]:
    """Keep what is stored from the collector, and have it collected if it comes to nothing."""
    try:
        with store.lease():
            yield
    except BaseException:
        collect(store)
        raise


class _Loader:
    """One load: from the members of an archive into a store."""

    def __init__(self, store: Store, members: Members, progress: Progress | None) -> None:
        self._store = store
        self._members = members
        self._progress = progress

    def load(self, offered: list[Offer]) -> list[Loaded]:
        """Take every image, and only then name the first."""
        loaded = [Loaded(image=self._take(offer), references=offer.references) for offer in offered]
        for item in loaded:
            for reference in item.references or (None,):
                self._store.references.set(reference, item.image.descriptor)
        return loaded

    def _take(self, offer: Offer) -> Image:
        layers = [self._take_layer(layer) for layer in offer.layers]
        made = assemble(offer.config, layers)
        image = made if offer.manifest is None else Image(offer.manifest, offer.config)
        put_image(self._store, image)
        return image

    def _take_layer(self, layer: OfferedLayer) -> Layer:
        if layer.descriptor is None:
            descriptor = self._copy_unknown(layer)
        else:
            descriptor = layer.descriptor
            self._copy_known(layer, descriptor)
        _unpack(self._store, descriptor, layer.diff_id)
        return Layer(descriptor, layer.diff_id)

    def _copy_known(self, layer: OfferedLayer, expected: Descriptor) -> None:
        """Store a layer's blob unless it is here already."""
        blobs = self._store.blobs
        here = blobs.has(expected.digest)
        size = blobs.size(expected.digest) if here else self._members.size(layer.member)
        if size != expected.size:
            raise Corrupt(f"blob {expected.digest} has {size} bytes instead of {expected.size}")
        if not here:
            self._copy(layer, expected)

    def _copy_unknown(self, layer: OfferedLayer) -> Descriptor:
        """Store a layer's blob and find out what it is; a plain tar must be the diff ID's."""
        compression = self._compression(layer)
        media_type = media_types.OCI_LAYERS[compression]
        expected = None
        if not compression:
            size = self._members.size(layer.member)
            expected = Descriptor(media_type=media_type, digest=layer.diff_id, size=size)
            if self._store.blobs.has(layer.diff_id):
                self._copy_known(layer, expected)
                return expected
        digest, size = self._copy(layer, expected)
        return Descriptor(media_type=media_type, digest=digest, size=size)

    def _compression(self, layer: OfferedLayer) -> str:
        with self._members.open(layer.member) as file:
            compression = compression_of_bytes(file.read(BEGINNING))
        if compression not in media_types.OCI_LAYERS:
            raise Unsupported(f"layer {layer.member[:200]!r} is compressed with {compression}")
        return compression

    def _copy(self, layer: OfferedLayer, expected: Descriptor | None) -> tuple[Digest, int]:
        algorithm = expected.digest.algorithm if expected else "sha256"
        total = self._members.size(layer.member)
        with (
            self._members.open(layer.member) as file,
            self._store.blobs.writer(algorithm) as writer,
        ):
            while chunk := file.read(_CHUNK):
                writer.write(chunk)
                if self._progress is not None:
                    self._progress(layer.diff_id, writer.size, total)
            return writer.commit(expected)


def _unpack(store: Store, descriptor: Descriptor, diff_id: Digest) -> None:
    """Have the layer unpacked, and make sure that this blob is the layer."""
    if not store.layers.has(diff_id):
        with store.blobs.open(descriptor.digest) as blob:
            store.layers.unpack(blob, descriptor.media_type, diff_id)
    elif descriptor.digest != diff_id:
        _require_diff_id(store, descriptor, diff_id)


def _require_diff_id(store: Store, descriptor: Descriptor, diff_id: Digest) -> None:
    """Hold a blob to the diff ID of a layer that is here already, from another blob perhaps."""
    hashed = hashlib.new(diff_id.algorithm)
    compression = compression_of_type(descriptor.media_type)
    with store.blobs.open(descriptor.digest) as blob:
        for chunk in decompressed(blob, compression, Limits()):
            hashed.update(chunk)
    if hashed.hexdigest() != diff_id.hex:
        raise Corrupt(f"layer {descriptor.digest} is not the one that diff ID {diff_id} names")
