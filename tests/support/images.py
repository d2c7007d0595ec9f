"""Small images and archives made by hand: good ones, from which tests make bad ones."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence

from onggi.image.assembly import assemble
from onggi.image.images import Image, Layer
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.image import History, ImageConfig, Index
from onggi.oci.platform import Platform

CREATED = "2024-01-01T00:00:00Z"
Contents = bytes | tarfile.TarInfo
Files = dict[str, bytes]


def tar_of(files: Mapping[str, Contents] | Sequence[tuple[str, Contents]]) -> bytes:
    """Write a tar; a TarInfo stands for a member without data, such as a link."""
    out = io.BytesIO()
    pairs = files.items() if isinstance(files, Mapping) else files
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, contents in pairs:
            if isinstance(contents, tarfile.TarInfo):
                archive.addfile(contents)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return out.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """Make a tar's link."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


class Made:
    """An image and its blobs, by hand; a layer is given as its files, or as a tar."""

    def __init__(
        self,
        *layers: Files | bytes,
        compressed: bool = False,
        platform: Platform | None = None,
        settings: Mapping[str, list[str]] | None = None,
    ) -> None:
        self.tars = [layer if isinstance(layer, bytes) else tar_of(layer) for layer in layers]
        config = ImageConfig.of(platform or Platform("linux", "amd64"), created=CREATED)
        config = config.with_settings(settings or {"Cmd": ["sh"]})
        for number, tar in enumerate(self.tars):
            line = History(created=CREATED, created_by=f"COPY {number}")
            config = config.with_layer(Digest.of(tar), line)
        self.blobs = [gzip.compress(tar, mtime=0) if compressed else tar for tar in self.tars]
        media_type = media_types.OCI_LAYER_GZIP if compressed else media_types.OCI_LAYER
        found = [Descriptor.of(blob, media_type) for blob in self.blobs]
        self.image: Image = assemble(config, list(map(Layer, found, config.diff_ids)))

    def files(self) -> Files:
        """The blobs as an image layout has them."""
        documents = [self.image.manifest.to_bytes(), self.image.config.to_bytes()]
        return {blob_name(Digest.of(data)): data for data in [*documents, *self.blobs]}


def blob_name(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def layout(*images: Made, names: Sequence[str] = (), key: str = "") -> Files:
    """Write images as an OCI layout; `names` go into the annotation `key`."""
    key = key or "org.opencontainers.image.ref.name"
    entries = [made.image.descriptor.with_platform(made.image.config.platform) for made in images]
    for number, name in enumerate(names):
        entries[number] = entries[number].with_annotations({key: name})
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": Index.of(tuple(entries)).to_bytes(),
    }
    for made in images:
        files |= made.files()
    return files


def docker_archive(*images: Made, tags: Sequence[Sequence[str]] = ()) -> Files:
    """Write images as `docker save` did before 25: configs and layers under names of their own."""
    files: Files = {}
    entries = []
    for number, made in enumerate(images):
        config = made.image.config.to_bytes()
        names = [f"{Digest.of(blob).hex}/layer.tar" for blob in made.blobs]
        files |= {
            f"{Digest.of(config).hex}.json": config,
            **dict(zip(names, made.blobs, strict=True)),
        }
        given = list(tags[number]) if number < len(tags) else []
        entries.append(
            {
                "Config": f"{Digest.of(config).hex}.json",
                "RepoTags": given or None,
                "Layers": names,
            }
        )
    return {**files, "manifest.json": json.dumps(entries).encode()}
