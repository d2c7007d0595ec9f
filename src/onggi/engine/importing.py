"""Making an image of a root file system that comes as a tar archive.

Source: docker image import; moby daemon/images/image_import.go.
"""

from __future__ import annotations

import time

from onggi.engine.config_changes import changed
from onggi.image import transfer
from onggi.image.moments import rfc3339
from onggi.oci.image import History, ImageConfig
from onggi.oci.platform import Platform, host
from onggi.oci.reference import parse_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from onggi.store.store import Store


def import_rootfs(
    store: Store,
    file: BinaryIO,
    reference: str | None,
    changes: Sequence[str],
    message: str,
    platform: str = "",
) -> str:
    """Make the image, and return its ID; see Images.import_."""
    name = parse_tag(reference) if reference else None
    config = changed(ImageConfig.of(Platform.parse(platform) if platform else host()), changes)
    history = History(created=rfc3339(int(time.time())), comment=message or "imported")
    image = transfer.import_rootfs(store, file, config, history=history, reference=name)
    return str(image.id)
