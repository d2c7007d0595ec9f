"""Making an image of a container as it is now.

Source: docker container commit; moby daemon/commit.go.
"""

from __future__ import annotations

import time

from onggi.engine.config_changes import changed
from onggi.engine.environment import assignments, merged
from onggi.image.assembly import assemble
from onggi.image.images import Image, Layer, put_image
from onggi.image.moments import rfc3339
from onggi.oci.digest import Digest
from onggi.oci.image import History, ImageConfig, Manifest
from onggi.oci.reference import parse_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.container import Container


def commit(
    container: Container, reference: str | None, message: str, author: str, changes: list[str]
) -> str:
    """Make an image of `container`'s image and what it wrote; return the image's ID.

    What it writes meanwhile may be in the image in parts.

    Args: reference: a name for the image, if it is to have one; changes: see config_changes.
    """
    name = parse_tag(reference) if reference else None
    store = container.store
    with store.lease():
        config = changed(_base(container), changes)
        diff_id, descriptor = store.snapshots.commit(container.id, owners=container.owners())
        layer = Layer(descriptor, diff_id)
        image = _made(container, config, layer, _history(container, message, author))
        store.references.set(name, put_image(store, image))
    return str(image.id)


def _base(container: Container) -> ImageConfig:
    """Return the image's configuration, with what the container's maker said instead."""
    options = container.record["options"]
    store = container.store
    config = ImageConfig.from_bytes(store.blobs.read(Digest(container.record["image_id"])))
    said = {
        "Env": assignments(merged(config.env, options["env"])) or None,
        "Labels": container.record["labels"] or None,
        "User": options["user"] or config.user or None,
        "WorkingDir": options["workdir"] or config.working_dir or None,
        "StopSignal": options["stop_signal"] or config.stop_signal or None,
    }
    if options["entrypoint"] is not None:
        said |= {"Entrypoint": options["entrypoint"] or None, "Cmd": options["command"] or None}
    elif options["command"]:
        said["Cmd"] = options["command"]
    return config.with_settings(said)


def _history(container: Container, message: str, author: str) -> History:
    words = container.record["config"]["process"]["args"]
    created = rfc3339(int(time.time()))
    return History(created=created, created_by=" ".join(words), author=author, comment=message)


def _made(container: Container, config: ImageConfig, layer: Layer, history: History) -> Image:
    """Put the layer on top of those that the container stands on."""
    digest = Digest(container.record["manifest"])
    below = Manifest.from_bytes(container.store.blobs.read(digest)).layers
    made = config.with_layer(layer.diff_id, history).with_created(history.created)
    if history.author:
        made = made.with_fields({"author": history.author})
    return assemble(made, [*map(Layer, below, config.diff_ids), layer])
