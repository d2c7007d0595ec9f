"""Loading images from archives: verified first, visible afterwards.

Every blob is compared with its digest and size, every layer with its diff ID, before the first of
the archive's images gets a name. A load that fails leaves nothing: what it stored belonged to a
lease, and is collected when that ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from onggi.errors import Corrupt, Unsupported
from onggi.image.archive_members import DirectoryMembers, Members
from onggi.image.archive_offers import Offer, OfferedLayer, offers
from onggi.image.archive_tar import open_tar
from onggi.image.compression import BEGINNING, compression_of
from onggi.image.images import Image, Layer, put_image
from onggi.image.mutate import assemble
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.platform import Platform
from onggi.oci.reference import Reference
from onggi.store.collect import collect
from onggi.store.decompress import compression_of_type, decompressed
from onggi.store.store import Store
from onggi.store.tar_limits import Limits

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """An image that was loaded, and the names it has got by that."""

    image: Image
    references: tuple[Reference, ...]


def load_archive(
    store: Store, stream: BinaryIO, *, platform: Platform | None = None
) -> list[Loaded]:
    """Load every image of a docker or OCI archive, compressed or not.

    Success means that all of its images are in the store, under the names that the archive gives
    them; images that had those names before are left without. A stream that cannot seek is
    copied to the store's temporary directory first.

    Raises: Corrupt, InvalidInput, Unsupported: what is wrong with the archive; nothing is loaded.
        PlatformNotFound: an image of the archive is not for `platform`.
    """
    with _or_nothing(store), open_tar(store.workshop, stream) as members:
        return _load(store, members, platform)


def load_layout(store: Store, directory: str, *, platform: Platform | None = None) -> list[Loaded]:
    """Load every image of an OCI image layout, a directory; otherwise as `load_archive`."""
    with _or_nothing(store), DirectoryMembers(directory) as members:
        return _load(store, members, platform)


@contextmanager
def _or_nothing(store: Store) -> Iterator[None]:
    """Keep what is stored from the collector, and have it collected if it comes to nothing."""
    try:
        with store.lease():
            yield
    except BaseException:
        collect(store)
        raise


def _load(store: Store, members: Members, platform: Platform | None) -> list[Loaded]:
    loaded = [
        Loaded(image=_take(store, members, offer), references=offer.references)
        for offer in offers(members, platform)
    ]
    for item in loaded:
        for reference in item.references or (None,):
            store.references.set(reference, item.image.descriptor)
    return loaded


def _take(store: Store, members: Members, offer: Offer) -> Image:
    layers = [_take_layer(store, members, layer) for layer in offer.layers]
    made = assemble(offer.config, layers)
    image = made if offer.manifest is None else Image(offer.manifest, offer.config)
    put_image(store, image)
    return image


def _take_layer(store: Store, members: Members, layer: OfferedLayer) -> Layer:
    if layer.descriptor is None:
        descriptor = _copy_unknown(store, members, layer)
    else:
        descriptor = layer.descriptor
        _copy_known(store, members, layer.member, descriptor)
    _unpack(store, descriptor, layer.diff_id)
    return Layer(descriptor, layer.diff_id)


def _copy_known(store: Store, members: Members, member: str, expected: Descriptor) -> None:
    """Store a layer's blob unless it is here already."""
    if not store.blobs.has(expected.digest):
        if members.size(member) != expected.size:
            raise Corrupt(
                f"blob {expected.digest} has {members.size(member)} bytes "
                f"instead of {expected.size}"
            )
        _copy(store, members, member, expected)
    elif store.blobs.size(expected.digest) != expected.size:
        raise Corrupt(f"blob {expected.digest} is said to have {expected.size} bytes")


def _copy_unknown(store: Store, members: Members, layer: OfferedLayer) -> Descriptor:
    """Store a layer's blob and find out what it is; an uncompressed one must be the diff ID's."""
    with members.open(layer.member) as file:
        compression = compression_of(file.read(BEGINNING))
    if compression not in media_types.OCI_LAYERS:
        raise Unsupported(f"layer {layer.member[:200]!r} is compressed with {compression}")
    media_type = media_types.OCI_LAYERS[compression]
    expected = None
    if not compression:
        size = members.size(layer.member)
        expected = Descriptor(media_type=media_type, digest=layer.diff_id, size=size)
        if store.blobs.has(layer.diff_id) and store.blobs.size(layer.diff_id) == size:
            return expected
    digest, size = _copy(store, members, layer.member, expected)
    return Descriptor(media_type=media_type, digest=digest, size=size)


def _copy(
    store: Store, members: Members, member: str, expected: Descriptor | None
) -> tuple[Digest, int]:
    algorithm = expected.digest.algorithm if expected else "sha256"
    with members.open(member) as file, store.blobs.writer(algorithm) as writer:
        while chunk := file.read(_CHUNK):
            writer.write(chunk)
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
