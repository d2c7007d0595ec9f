"""Removing names and images, as `docker rmi` does.

Removing a name removes the image with its last name; removing an ID removes the only name too.
What must not happen unasked, or at all, is a conflict:

    soft, `force` overrides      a stopped container uses the image; an ID stands for several names
    hard, nothing overrides      a running container uses it

Source: moby daemon/images/image_delete.go, ImageDelete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onggi.errors import Conflict
from onggi.image.images import Image, find, open_image
from onggi.image.listing import ImageSummary, summaries
from onggi.oci.digest import Digest, chain_ids
from onggi.oci.reference import Reference
from onggi.store.collect import collect
from onggi.store.store import Store


@dataclass(frozen=True, kw_only=True)
class ContainerUse:
    """A container and the ID of the image that it was made from."""

    container: str
    image: Digest
    running: bool


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What `rmi` tells, a line each: `Untagged: busybox:latest`, `Deleted: sha256:…`.

    A deleted digest is the image's ID, or the chain ID of a layer that no image needs any more.
    """

    untagged: str = ""
    deleted: Digest | None = None


class ImageInUse(Conflict):
    """The image must not go while something needs it; `forceable` tells whether one may insist."""

    def __init__(self, message: str, *, forceable: bool) -> None:
        super().__init__(f"conflict: {message}")
        self.forceable = forceable


def remove(
    store: Store, name: str, *, force: bool = False, users: Sequence[ContainerUse] = ()
) -> list[Removed]:
    """Remove a name, or the image that an ID stands for.

    `users` are the containers of the store.

    Returns: what was removed, in the order in which Docker tells it.
    Raises: ImageNotFound; ImageInUse: nothing was removed.
    """
    reference, descriptor = find(store, name)
    image = open_image(store, descriptor)
    mine = [user for user in users if user.image == image.id]
    names = _names(store, image)
    if reference is None:
        _require_removable_by_id(image, names, mine, force=force)
        return _delete(store, image, names)
    if len(names) <= 1 and mine and not force:
        raise _named_in_use(name, image, mine[0])
    if len(names) > 1 or any(user.running for user in mine):
        return [_untag(store, reference)]
    return _delete(store, image, names)


def prune(
    store: Store, wanted: Callable[[ImageSummary], bool], *, users: Sequence[ContainerUse] = ()
) -> tuple[list[Removed], int]:
    """Remove those images that are `wanted` gone and that no container uses.

    Returns: what was removed, and how many bytes that freed on disk. Layers that other images,
        containers or the build cache need stay.
    """
    used = {user.image for user in users}
    removed: list[Removed] = []
    for one in summaries(store):
        if one.id in used or not wanted(one):
            continue
        for digest in one.digests:
            store.references.forget(digest)
        removed += [Removed(untagged=reference.familiar) for reference in one.references]
        removed.append(Removed(deleted=one.id))
    return removed, collect(store).size if removed else 0


def _require_removable_by_id(
    image: Image, names: list[Reference], users: list[ContainerUse], *, force: bool
) -> None:
    running = [user.container for user in users if user.running]
    if running:
        raise _in_use(image, f"image is being used by running container {running[0][:12]}", False)
    if force:
        return
    if len(names) > 1:
        raise _in_use(image, "image is referenced in multiple repositories", True)
    if users:
        stopped = users[0].container[:12]
        raise _in_use(image, f"image is being used by stopped container {stopped}", True)


def _in_use(image: Image, reason: str, forceable: bool) -> ImageInUse:
    how = "must be forced" if forceable else "cannot be forced"
    message = f"unable to delete {image.id.short} ({how}) - {reason}"
    return ImageInUse(message, forceable=forceable)


def _named_in_use(name: str, image: Image, user: ContainerUse) -> ImageInUse:
    return ImageInUse(
        f'unable to remove repository reference "{name}" (must force) - '
        f"container {user.container[:12]} is using its referenced image {image.id.short}",
        forceable=True,
    )


def _names(store: Store, image: Image) -> list[Reference]:
    return [
        reference
        for reference, descriptor in store.references.list()
        if reference is not None and open_image(store, descriptor).id == image.id
    ]


def _untag(store: Store, reference: Reference) -> Removed:
    """Remove a name; an image that has none left, but a container, stays listed without one."""
    descriptor = store.references.get(reference)
    if descriptor is not None:
        with store.lease() as lease:
            lease.hold(descriptor.digest)
            store.references.delete(reference)
            store.references.set(None, descriptor)  # nothing happens if there is another name
    return Removed(untagged=reference.familiar)


def _delete(store: Store, image: Image, names: list[Reference]) -> list[Removed]:
    """Remove an image with all its names, then what of its layers no other image needs."""
    removed = [Removed(untagged=reference.familiar) for reference in names]
    for _, descriptor in store.references.list():
        if open_image(store, descriptor).id == image.id:
            store.references.forget(descriptor.digest)
    removed.append(Removed(deleted=image.id))
    collect(store)
    chain = zip(chain_ids(image.diff_ids), image.diff_ids, strict=True)
    gone = [chain_id for chain_id, diff_id in chain if not store.layers.has(diff_id)]
    return removed + [Removed(deleted=chain_id) for chain_id in reversed(gone)]
