"""New images from old ones: pure functions over values.

Nothing here touches a store; `images.put_image` does, when a result is wanted. The same arguments
give the same bytes, so the time of creation is an argument too.
"""

from __future__ import annotations

from collections.abc import Sequence

from onggi.image.images import Image, Layer
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.image import History, ImageConfig, Manifest


def assemble(config: ImageConfig, layers: Sequence[Layer]) -> Image:
    """Make the image of a config and of the layers that its diff IDs name.

    Raises: Corrupt: they are not as many as the config has diff IDs.
    """
    return Image(_manifest(config, [layer.descriptor for layer in layers]), config)


def append_layer(image: Image, layer: Layer, history: History) -> Image:
    """Put a layer on top; the image is as old as its newest line of history."""
    config = image.config.with_layer(layer.diff_id, history)
    if history.created:
        config = config.with_created(history.created)
    return assemble(config, [*image.layers, layer])


def with_config(image: Image, config: ImageConfig) -> Image:
    """Replace the config by one for the same layers."""
    manifest = image.manifest.with_contents(_describe(config), image.manifest.layers)
    return Image(manifest, config)


def _manifest(config: ImageConfig, layers: list[Descriptor]) -> Manifest:
    return Manifest.of(_describe(config), tuple(layer.bare() for layer in layers))


def _describe(config: ImageConfig) -> Descriptor:
    return Descriptor.of(config.to_bytes(), media_types.OCI_CONFIG)
