"""The images that a Dockerfile names, found in the store.

Source: docs.docker.com "FROM". There is no registry to pull from yet, so what is missing is an
error that says how images get here.
"""

from __future__ import annotations

from onggi.build.errors import BuildError
from onggi.errors import NotFound, OnggiError
from onggi.image.images import Image, get_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.image.images import Layer
    from onggi.oci.platform import Platform
    from onggi.store.store import Store


class BaseImageNotFound(BuildError, NotFound):
    """The Dockerfile names an image that is not in the store."""

    exit_code = 1


class BaseImages:
    """Reads each image once, and makes sure that its layers are unpacked."""

    __slots__ = ("_images", "_platform", "_store")

    def __init__(self, store: Store, platform: Platform) -> None:
        self._store = store
        self._platform = platform
        self._images: dict[str, Image] = {}

    def get(self, name: str) -> Image:
        """Return the image of this name.

        Raises: BaseImageNotFound; BuildError: the image is for another platform, or damaged.
        """
        image = self._images.get(name)
        if image is None:
            image = self._images[name] = self._read(name)
        return image

    def triggers(self, name: str) -> tuple[str, ...]:
        """Return the image's ONBUILD instructions."""
        return self.get(name).config.onbuild

    def _read(self, name: str) -> Image:
        try:
            image = get_image(self._store, name, self._platform)
            for layer in image.layers:
                self._require_unpacked(layer)
        except NotFound as error:
            raise BaseImageNotFound(
                error.message,
                hint="images cannot be pulled yet; make it with `onggi bootstrap`, `onggi load` or "
                "`onggi import`",
            ) from error
        except OnggiError as error:
            raise BuildError(f"{name}: {error.message}", hint=error.hint) from error
        return image

    def _require_unpacked(self, layer: Layer) -> None:
        if self._store.layers.has(layer.diff_id):
            return
        with self._store.blobs.open(layer.descriptor.digest) as blob:
            self._store.layers.unpack(blob, layer.descriptor.media_type, layer.diff_id)
