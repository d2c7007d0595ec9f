"""What images there are: what `docker images` shows.

Source: docker/cli docs/reference/commandline/image_ls.md; moby daemon/images/images.go.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from onggi.image.images import Image, open_image
from onggi.oci.digest import Digest
from onggi.oci.reference import Reference
from onggi.store.store import Store


@dataclass(frozen=True, kw_only=True)
class ImageSummary:
    """One image of a store; sizes are of unpacked layers, in bytes.

    `shared_size` is what other images of the store use, too. `digests` are its manifests.
    """

    id: Digest
    references: tuple[Reference, ...]
    digests: tuple[Digest, ...]
    created: str
    size: int
    shared_size: int
    labels: dict[str, str]

    @property
    def dangling(self) -> bool:
        """Whether it has no name: `<none>`."""
        return not self.references


def summaries(store: Store) -> list[ImageSummary]:
    """List every image of the store, the newest first."""
    images, names = _read(store)
    users = Counter(diff_id for image in images.values() for diff_id in set(image.diff_ids))
    listed = [_summary(store, image, names[key], users) for key, image in images.items()]
    return sorted(listed, key=lambda summary: (summary.created, summary.id), reverse=True)


class _Names:
    """The names and manifests of one image, gathered entry by entry."""

    def __init__(self) -> None:
        self.references: list[Reference] = []
        self.digests: list[Digest] = []


def _read(store: Store) -> tuple[dict[Digest, Image], dict[Digest, _Names]]:
    images: dict[Digest, Image] = {}
    names: dict[Digest, _Names] = {}
    for reference, descriptor in store.references.list():
        image = open_image(store, descriptor)
        images.setdefault(image.id, image)
        known = names.setdefault(image.id, _Names())
        if reference is not None:
            known.references.append(reference)
        if descriptor.digest not in known.digests:
            known.digests.append(descriptor.digest)
    return images, names


def _summary(store: Store, image: Image, names: _Names, users: Counter[Digest]) -> ImageSummary:
    sizes = {diff_id: store.layers.size(diff_id) for diff_id in image.diff_ids}
    return ImageSummary(
        id=image.id,
        references=tuple(sorted(names.references, key=str)),
        digests=tuple(names.digests),
        created=image.created,
        size=sum(sizes[diff_id] for diff_id in image.diff_ids),
        shared_size=sum(size for diff_id, size in sizes.items() if users[diff_id] > 1),
        labels=image.config.labels,
    )
