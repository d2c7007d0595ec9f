"""Root file systems that come as one tar: `import` makes an image of it.

Source: moby daemon/images/image_import.go (what the history says).
"""

from __future__ import annotations

from typing import BinaryIO

from onggi.image.assembly import assemble
from onggi.image.compression import decompressed_chunks
from onggi.image.images import Image, Layer, put_image
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.image import History, ImageConfig
from onggi.oci.reference import Reference
from onggi.store.collect import collect
from onggi.store.store import Store


def import_rootfs(
    store: Store,
    stream: BinaryIO,
    config: ImageConfig,
    *,
    history: History,
    reference: Reference | None = None,
) -> Image:
    """Make an image of one layer, the tar in `stream`, which may be compressed.

    `config` is that of an image without layers; it gets the layer and the line of history, and is
    as old as that says. Success means that the image is in the store, under `reference` if that
    is given. The layer is kept uncompressed, so that its digest depends on its contents alone.

    Raises: Corrupt, InvalidInput, Unsupported: what is wrong with the tar; nothing is left of it.
    """
    try:
        with store.lease():
            layer = _take_layer(store, stream)
            made = config.with_layer(layer.diff_id, history).with_created(history.created)
            image = assemble(made, [layer])
            store.references.set(reference, put_image(store, image))
    except BaseException:
        collect(store)
        raise
    return image


def _take_layer(store: Store, stream: BinaryIO) -> Layer:
    with store.blobs.writer() as writer:
        for chunk in decompressed_chunks(stream):
            writer.write(chunk)
        digest, size = writer.commit()
    with store.blobs.open(digest) as blob:
        store.layers.unpack(blob, media_types.OCI_LAYER, digest)
    return Layer(Descriptor(media_type=media_types.OCI_LAYER, digest=digest, size=size), digest)
