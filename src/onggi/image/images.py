"""Images as values: a manifest and the config it names, found by name and read from a store.

On the path of every `run`, so it imports what `run` imports.

Source: image-spec manifest.md, image-index.md; moby daemon/images/image.go, GetImage (the order in
which a word is taken for a digest, a name, the beginning of an ID).
"""

from __future__ import annotations

from onggi.errors import Corrupt, InvalidInput, NotFound
from onggi.oci import media_types
from onggi.oci.digest import Digest
from onggi.oci.image import ImageConfig, Index, Manifest, parse_manifest_or_index
from onggi.oci.platform import host
from onggi.oci.reference import InvalidReference, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.oci.descriptor import Descriptor
    from onggi.oci.platform import Platform
    from onggi.store.store import Store

    ReadBlob = Callable[[Descriptor], bytes]

# An index of indexes is allowed; nobody writes more than two levels.
_INDEX_DEPTH = 4
_HEX = frozenset("0123456789abcdef")


# What overlayfs stacks (OVL_MAX_STACK, 500), less one that we put beneath.
MOST_LAYERS = 499


class ImageNotFound(NotFound):
    """No image has this name, ID or beginning of an ID."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such image: {name}")
        self.name = name


class PlatformNotFound(NotFound):
    """The image exists, but not for this platform."""

    def __init__(self, wanted: Platform, offered: list[str]) -> None:
        super().__init__(f"no image for {wanted}, only for {', '.join(offered) or 'none'}")
        self.wanted = wanted
        self.offered = offered


class Layer:
    """A layer: the blob as it is stored, and the digest of the tar inside."""

    __slots__ = ("descriptor", "diff_id")

    def __init__(self, descriptor: Descriptor, diff_id: Digest) -> None:
        self.descriptor = descriptor
        self.diff_id = diff_id

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Layer) and self.diff_id == other.diff_id
        return same and isinstance(other, Layer) and self.descriptor == other.descriptor

    def __hash__(self) -> int:
        return hash(self.diff_id)


class Image:
    """An image for one platform: a manifest and the config that it names.

    Raises: Corrupt: they count different numbers of layers, or more than can be stacked.
    """

    __slots__ = ("config", "manifest")

    def __init__(self, manifest: Manifest, config: ImageConfig) -> None:
        if len(manifest.layers) != len(config.diff_ids):
            raise Corrupt(
                f"image manifest has {len(manifest.layers)} layers, "
                f"its config {len(config.diff_ids)}"
            )
        if len(manifest.layers) > MOST_LAYERS:
            raise Corrupt(f"image has {len(manifest.layers)} layers, more than {MOST_LAYERS}")
        self.manifest = manifest
        self.config = config

    @property
    def id(self) -> Digest:
        """The image ID that Docker shows: the digest of the config."""
        return self.manifest.config.digest

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's descriptor, which a reference points to."""
        return self.manifest.descriptor()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, the lowest first."""
        return tuple(map(Layer, self.manifest.layers, self.config.diff_ids))

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """What the store's layers are known by, the lowest first."""
        return self.config.diff_ids

    @property
    def created(self) -> str:
        """When it was made, RFC 3339 text or ""."""
        return self.config.created

    def size(self, store: Store) -> int:
        """Add up the unpacked layers, as `docker images` does."""
        return sum(store.layers.size(diff_id) for diff_id in self.diff_ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and self.manifest == other.manifest

    def __hash__(self) -> int:
        return hash(self.manifest)

    def __repr__(self) -> str:
        return f"<image {self.id}>"


def get_image(store: Store, name: str, platform: Platform | None = None) -> Image:
    """Return the image that a user's word means.

    Raises: ImageNotFound, PlatformNotFound, Corrupt; InvalidInput: the word is ambiguous.
    """
    return open_image(store, find(store, name)[1], platform)


def open_image(store: Store, descriptor: Descriptor, platform: Platform | None = None) -> Image:
    """Read the image that a descriptor refers to, a manifest's or an index's.

    Raises: NotFound: a document is not in the store. PlatformNotFound, Corrupt
    """
    return resolve(lambda document: store.blobs.read(document.digest), descriptor, platform)


def put_image(store: Store, image: Image) -> Descriptor:
    """Store an image's documents; its layers are there already.

    Success means that a reference may point to the returned descriptor.
    """
    store.blobs.put(image.config.to_bytes())
    store.blobs.put(image.manifest.to_bytes())
    return image.descriptor


def resolve(read: ReadBlob, descriptor: Descriptor, platform: Platform | None = None) -> Image:
    """Follow a descriptor to one image, choosing from indexes what the platform runs.

    `read` returns a blob's bytes, verified. Without a platform it is the host's, or that of the
    only image there is.

    Raises: PlatformNotFound, Corrupt, Unsupported
    """
    for _ in range(_INDEX_DEPTH):
        document = parse_manifest_or_index(_read_sized(read, descriptor), descriptor.media_type)
        if isinstance(document, Manifest):
            return _image(read, descriptor, document, platform)
        descriptor = select(document, platform)
    raise Corrupt(f"image index nests more than {_INDEX_DEPTH} deep")


def select(index: Index, platform: Platform | None = None) -> Descriptor:
    """Choose from an index what the platform runs best.

    Raises: PlatformNotFound
    """
    candidates = [entry for entry in index.manifests if _is_image(entry)]
    if platform is None and len(candidates) == 1:
        return candidates[0]
    wanted = platform or host()
    for accepted in [*wanted.accepted(), None]:
        for candidate in candidates:
            if candidate.platform == accepted:
                return candidate
    raise PlatformNotFound(wanted, [str(entry.platform) for entry in candidates])


def find(store: Store, name: str) -> tuple[Reference | None, Descriptor]:
    """Find what a user's word means: a digest, a name, or the beginning of an ID, in that order.

    Returns: the name under which it is known, None if the word was an ID; what it refers to.
    Raises: ImageNotFound; InvalidInput: the beginning of several IDs.
    """
    try:
        reference = Reference.parse(name)
    except InvalidReference:
        if not _is_id_prefix(name):
            raise
    else:
        found = _find_reference(store, reference)
        if found is not None:
            return found
    if not _is_id_prefix(name):
        raise ImageNotFound(name)
    return None, _find_id(store, name)


def tag(store: Store, name: str, reference: Reference) -> None:
    """Give an image one more name, taking it from the image that had it.

    Raises: ImageNotFound; InvalidInput: the name would be a digest.
    """
    if reference.digest is not None:
        raise InvalidInput(
            f"refusing to create a tag with a digest reference: {reference.familiar}"
        )
    store.references.set(reference, find(store, name)[1])


def image_ids(store: Store) -> list[tuple[Digest, Descriptor]]:
    """List every image of the store, by ID; one that has two names is listed once."""
    descriptors = {entry.digest: entry for _, entry in store.references.list()}
    return [(open_image(store, entry).id, entry) for entry in descriptors.values()]


def _image(
    read: ReadBlob, descriptor: Descriptor, manifest: Manifest, wanted: Platform | None
) -> Image:
    if manifest.config.media_type not in media_types.CONFIGS:
        raise InvalidInput(
            f"{descriptor.digest} is no container image but {manifest.config.media_type[:200]!r}"
        )
    config = ImageConfig.from_bytes(_read_sized(read, manifest.config))
    stated = descriptor.platform
    # Variants are left out: old images' configs don't state them.
    if stated and (stated.os, stated.architecture) != (
        config.platform.os,
        config.platform.architecture,
    ):
        raise Corrupt(f"image listed as {stated} is for {config.platform}")
    if wanted is not None and not wanted.runs(config.platform):
        raise PlatformNotFound(wanted, [str(config.platform)])
    return Image(manifest, config)


def _read_sized(read: ReadBlob, descriptor: Descriptor) -> bytes:
    data = read(descriptor)
    if len(data) != descriptor.size:
        raise Corrupt(
            f"blob {descriptor.digest} has {len(data)} bytes instead of {descriptor.size}"
        )
    return data


def _is_image(entry: Descriptor) -> bool:
    """Tell an image, or an index, from what is attached to one (BuildKit's attestations)."""
    kinds = media_types.MANIFESTS | media_types.INDEXES
    return entry.media_type in kinds and (entry.platform is None or entry.platform.os != "unknown")


def _find_reference(store: Store, reference: Reference) -> tuple[Reference, Descriptor] | None:
    """Find a name; one with a digest means any of its repository's names for that manifest."""
    if reference.digest is None:
        descriptor = store.references.get(reference)
        return None if descriptor is None else (reference, descriptor)
    for known, descriptor in store.references.list():
        if known and known.name == reference.name and descriptor.digest == reference.digest:
            return known, descriptor
    return None


def _is_id_prefix(text: str) -> bool:
    return bool(text) and _HEX.issuperset(text.removeprefix("sha256:"))


def _find_id(store: Store, prefix: str) -> Descriptor:
    """Find the one image whose ID, or whose manifest's digest, begins so."""
    beginning = "sha256:" + prefix.removeprefix("sha256:")
    found = {
        image: descriptor
        for image, descriptor in image_ids(store)
        if image.startswith(beginning) or descriptor.digest.startswith(beginning)
    }
    if not found:
        raise ImageNotFound(prefix)
    if len(found) > 1:
        raise InvalidInput(
            f"image ID {prefix} is ambiguous: {len(found)} images begin so",
            hint="give more of it",
        )
    return next(iter(found.values()))
