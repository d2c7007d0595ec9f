"""What an archive has to offer: its images, read and judged, before anything is stored.

Three forms are read. An OCI image layout (index.json, blobs/) keeps the manifests, and with them
their digests; it is preferred where an archive, like that of Docker since 25, is both. A docker
archive (manifest.json) names configs and layers, from which manifests are made anew. The names
of images are the archive's to claim, so they are held to the grammar like a user's.

Source: image-spec image-layout.md; moby image/tarexport/load.go; containerd
core/images/archive/importer.go (its annotation for the whole name).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from onggi.errors import Corrupt, InvalidInput, Unsupported
from onggi.image import archive_layout as layout
from onggi.image.archive_layout import blob_file
from onggi.image.archive_members import Members, plain_name, read_member
from onggi.image.images import Image, PlatformNotFound, resolve
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.document import SIZE_LIMIT, Fields, parse, parse_value
from onggi.oci.image import ImageConfig, Index, Manifest
from onggi.oci.platform import Platform
from onggi.oci.reference import Reference

_IMAGE_LIMIT = 1000
_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True)
class OfferedLayer:
    """A layer's file in the archive, and what it must turn out to be.

    `descriptor` is None where the archive does not say what the file's digest is.
    """

    member: str
    diff_id: Digest
    descriptor: Descriptor | None


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An image in an archive; `manifest` is None where the archive has none."""

    references: tuple[Reference, ...]
    config: ImageConfig
    layers: tuple[OfferedLayer, ...]
    manifest: Manifest | None


def offers(members: Members, platform: Platform | None) -> list[Offer]:
    """Read what images an archive has.

    Raises: Corrupt: a document is malformed, missing, or not what its digest says.
        InvalidInput: this is no image archive. PlatformNotFound
    """
    if members.has(layout.INDEX_FILE) and members.has(layout.LAYOUT_FILE):
        found = _oci_offers(members, platform)
    elif members.has(layout.DOCKER_FILE):
        found = _docker_offers(members, platform)
    elif members.has(layout.REPOSITORIES_FILE):
        raise Unsupported("image archives of Docker before 1.10 are not supported")
    else:
        raise InvalidInput(
            "not an image archive", hint="expected manifest.json or oci-layout and index.json"
        )
    _require_distinct(found)
    return found


def _oci_offers(members: Members, platform: Platform | None) -> list[Offer]:
    data = read_member(members, layout.LAYOUT_FILE, SIZE_LIMIT)
    version = Fields(parse(data, layout.LAYOUT_FILE), layout.LAYOUT_FILE).text("imageLayoutVersion")
    if version != layout.LAYOUT_VERSION:
        raise Unsupported(f"image layout version {version[:40]!r} is not supported")
    index = Index.from_bytes(read_member(members, layout.INDEX_FILE, SIZE_LIMIT))
    found: dict[Digest, Offer] = {}
    for entry in _bounded(index.manifests):
        if entry.media_type not in media_types.MANIFESTS | media_types.INDEXES:
            continue
        image = resolve(lambda blob: _read_blob(members, blob), entry, platform)
        offer = found.setdefault(image.descriptor.digest, _oci_offer(image))
        names = (*offer.references, *_names(entry))
        found[image.descriptor.digest] = replace(offer, references=tuple(dict.fromkeys(names)))
    return list(found.values())


def _oci_offer(image: Image) -> Offer:
    layers = tuple(
        OfferedLayer(
            member=blob_file(layer.descriptor.digest),
            diff_id=layer.diff_id,
            descriptor=layer.descriptor,
        )
        for layer in image.layers
    )
    return Offer(references=(), config=image.config, layers=layers, manifest=image.manifest)


def _names(entry: Descriptor) -> list[Reference]:
    """Read an index entry's name.

    The specification's annotation may hold a whole name, a repository or a tag alone. Nobody can
    tell the last two apart, so a word without `:` and `/` names nothing.
    """
    whole = entry.annotations.get(layout.CONTAINERD_NAME, "")
    given = entry.annotations.get(layout.REF_NAME, "")
    if not whole and (":" in given or "/" in given):
        whole = given
    return [_reference(whole)] if whole else []


def _read_blob(members: Members, blob: Descriptor) -> bytes:
    data = read_member(members, blob_file(blob.digest), SIZE_LIMIT)
    if Digest.of(data, blob.digest.algorithm) != blob.digest:
        raise Corrupt(f"blob {blob.digest} of the archive has other contents")
    return data


def _docker_offers(members: Members, platform: Platform | None) -> list[Offer]:
    value = parse_value(read_member(members, layout.DOCKER_FILE, SIZE_LIMIT), "manifest.json")
    if not isinstance(value, list):
        raise Corrupt("manifest.json is not a list")
    entries = [Fields(entry, "manifest.json") for entry in _bounded(value)]
    found = [_docker_offer(members, entry) for entry in entries]
    if platform is None:
        return found
    return [offer for offer in found if _require_platform(offer, platform)]


def _docker_offer(members: Members, entry: Fields) -> Offer:
    config_name = plain_name(entry.text("Config"))
    data = read_member(members, config_name, SIZE_LIMIT)
    _require_named_digest(config_name, data)
    config = ImageConfig.from_bytes(data)
    names = [plain_name(name) for name in entry.texts("Layers")]
    if len(names) != len(config.diff_ids):
        raise Corrupt(f"manifest.json has {len(names)} layers, the config {len(config.diff_ids)}")
    layers = [
        OfferedLayer(member=name, diff_id=diff_id, descriptor=None)
        for name, diff_id in zip(names, config.diff_ids, strict=True)
    ]
    references = dict.fromkeys(map(_reference, entry.texts("RepoTags")))
    return Offer(references=tuple(references), config=config, layers=tuple(layers), manifest=None)


def _require_named_digest(name: str, data: bytes) -> None:
    """Hold a config to its file's name, `<hex>.json` or `blobs/sha256/<hex>`, if it has one."""
    stem = name.rpartition("/")[2].removesuffix(".json").removeprefix("sha256:")
    try:
        named = Digest(f"sha256:{stem}")
    except InvalidInput:
        return
    if Digest.of(data) != named:
        raise Corrupt(f"image config {name[:200]!r} has other contents than its name says")


def _require_platform(offer: Offer, platform: Platform) -> bool:
    if not platform.runs(offer.config.platform):
        raise PlatformNotFound(platform, [str(offer.config.platform)])
    return True


def _reference(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except InvalidInput as error:
        raise Corrupt(f"archive names an image badly: {error.message}") from error


def _bounded(items: Iterable[_Item]) -> list[_Item]:
    bounded = list(items)
    if len(bounded) > _IMAGE_LIMIT:
        raise Corrupt(f"archive lists {len(bounded)} images, more than {_IMAGE_LIMIT}")
    return bounded


def _require_distinct(found: list[Offer]) -> None:
    if not found:
        raise InvalidInput("the archive has no images")
    claims = Counter(reference for offer in found for reference in offer.references)
    for reference, count in claims.items():
        if count > 1:
            raise Corrupt(f"archive gives the name {reference.familiar} to {count} images")
