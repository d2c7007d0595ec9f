"""Images from their parts: a pure function over values.

Nothing here touches a store; `images.put_image` does, when a result is wanted. The same arguments
give the same bytes, so the time of creation is an argument too.
"""

from __future__ import annotations

from collections.abc import Sequence

from onggi.image.images import Image, Layer
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.image import ImageConfig, Manifest


def assemble(config: ImageConfig, layers: Sequence[Layer]) -> Image:
    """Make the image of a config and of the layers that its diff IDs name.

    Raises: Corrupt: they are not as many as the config has diff IDs.
    """
    described = Descriptor.of(config.to_bytes(), media_types.OCI_CONFIG)
    manifest = Manifest.of(described, tuple(layer.descriptor.bare() for layer in layers))
    return Image(manifest, config)
