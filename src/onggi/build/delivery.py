"""Bringing a build's result to where it was asked for."""

from __future__ import annotations

import os

from onggi.image.images import put_image
from onggi.oci.reference import parse_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from onggi.build.output import Output
    from onggi.image.images import Image
    from onggi.oci.digest import Digest
    from onggi.oci.reference import Reference
    from onggi.store.store import Store


def deliver(
    store: Store, image: Image, references: tuple[Reference, ...], outputs: tuple[Output, ...]
) -> tuple[Reference, ...]:
    """Let the result go to its outputs, or into the store if there are none.

    Success means that every file and directory is whole, and every name means this image.

    Returns: the names that the image has got, those that outputs add included.
    Raises: OSError; BuildError: something is in the way; InvalidReference.
    """
    named = tuple(parse_tag(name) for each in outputs for name in each.name.split(",") if name)
    references = tuple(dict.fromkeys((*references, *named)))
    if not outputs or any(output.is_stored for output in outputs):
        _publish(store, image, references)
    elif any(output.is_archive for output in outputs):
        put_image(store, image)  # not named, so it goes with the lease
    for output in outputs:
        _write(output, store, image, references)
    return references


def _write(output: Output, store: Store, image: Image, references: Sequence[Reference]) -> None:
    if output.kind == "local":
        _write_directory(store, image, output.path)
    elif output.file is not None and output.kind == "tar":
        from onggi.store.tar_write import tree_archive

        output.file.writelines(tree_archive(_layers(store, image)))
    elif output.file is not None:
        from onggi.image.archive_save import save_image

        save_image(store, image, references, output.file, output.kind)


def _layers(store: Store, image: Image) -> list[str]:
    """Return the directories that overlayfs would stack, the topmost first."""
    from onggi.build.rootfs import layer_by_layer

    [overlay] = store.snapshots.view(image.diff_ids)
    mark = "lowerdir+="
    options = layer_by_layer(overlay).options
    return [option.removeprefix(mark) for option in options if option.startswith(mark)]


def _write_directory(store: Store, image: Image, path: str) -> None:
    """Copy all files into a directory, over those of the same name; they belong to the caller."""
    from onggi.build.copying import Attributes, Destination
    from onggi.build.rootfs import open_root
    from onggi.build.tree import Tree
    from onggi.linux.fd import Fd

    os.makedirs(path, exist_ok=True)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with (
        open_root(store.snapshots.view(image.diff_ids), store.workshop) as root,
        Fd(os.open(path, flags)) as directory,
    ):
        tree = Tree(root.fileno())
        owner = (os.geteuid(), os.getegid())
        destination = Destination(directory.fileno(), Attributes(owner=owner))
        destination.copy(tree, tree.at(""), "/", lambda _entry: False)


def _publish(store: Store, image: Image, references: tuple[Reference, ...]) -> None:
    """Put the image's documents into the store and let its names mean it, unless all is so."""
    descriptor = image.descriptor
    if not (store.blobs.has(descriptor.digest) and store.blobs.has(image.id)):
        put_image(store, image)
    for reference in references:
        known = store.references.get(reference)
        if known is None or known.digest != descriptor.digest:
            store.references.set(reference, descriptor)
    if not references and not _is_listed(store, descriptor.digest):
        store.references.set(None, descriptor)


def _is_listed(store: Store, digest: Digest) -> bool:
    return any(entry.digest == digest for _, entry in store.references.list())
