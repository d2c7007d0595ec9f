"""Saving images to an archive, or to a directory, that other tools read.

What is written is an OCI image layout. The docker format adds what `docker load` and
`docker-archive:` want, manifest.json and repositories, so that such an archive is both. The same
images give the same bytes: members come in a fixed order, belong to root and are of 1970.

    oci-layout  index.json  [manifest.json  repositories]  blobs/  blobs/sha256/  blobs/sha256/<hex>

Source: image-spec image-layout.md; moby image/tarexport/save.go (since Docker 25).
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol

from onggi.errors import AlreadyExists, Corrupt, InvalidInput
from onggi.image import archive_layout as layout
from onggi.image.archive_layout import blob_file
from onggi.image.images import Image, find, open_image
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.image import Index
from onggi.oci.jsontext import canonical
from onggi.oci.reference import InvalidReference, Reference
from onggi.store import tar_header
from onggi.store.store import Store
from onggi.store.tar_write import encode_header

if TYPE_CHECKING:
    from onggi.oci.document import Json

FORMATS = ("docker", "oci")
_CHUNK = 1 << 20


@dataclass
class _Saved:
    """An image to be saved, and the names under which it was asked for."""

    image: Image
    references: list[Reference] = field(default_factory=list)


class _Readable(Protocol):
    """Where the contents of a file come from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, none at the end."""


class _Sink(Protocol):
    """Where members are written to, one after another."""

    def directory(self, name: str) -> None:
        """Make a directory."""

    def file(self, name: str, size: int, contents: _Readable) -> None:
        """Write a file of this size."""


def save_archive(
    store: Store, names: Sequence[str], out: BinaryIO, archive_format: str = "docker"
) -> None:
    """Write a tar of the images that users' words mean.

    A repository's name without a tag means all its tags; an ID saves the image without a name.

    Raises: InvalidInput: no such format. ImageNotFound; Corrupt: a blob differs from its digest,
        after part of the archive was written.
    """
    if archive_format not in FORMATS:
        raise InvalidInput(f"unknown archive format {archive_format!r}", hint="docker or oci")
    saved = _choose(store, names)
    sink = _TarSink(out)
    _write(store, saved, sink, archive_format)
    sink.end()


def save_image(
    store: Store,
    image: Image,
    references: Sequence[Reference],
    out: BinaryIO,
    archive_format: str = "docker",
) -> None:
    """Write a tar of one image whose blobs are in the store, under these names.

    Raises: Corrupt: a blob differs from its digest, after part of the archive was written.
    """
    sink = _TarSink(out)
    _write(store, [_Saved(image, list(references))], sink, archive_format)
    sink.end()


def save_layout(store: Store, names: Sequence[str], directory: str) -> None:
    """Write the images as an OCI image layout into a directory, which is new, or empty.

    The directory appears whole or not at all.

    Raises: AlreadyExists: the directory has something in it. ImageNotFound, Corrupt
    """
    saved = _choose(store, names)
    parent, name = os.path.split(os.path.abspath(directory))
    half_made = tempfile.mkdtemp(prefix=f".{name}-", dir=parent)
    try:
        os.chmod(half_made, 0o755)
        _write(store, saved, _DirectorySink(half_made), "oci")
        _move(half_made, directory)
    except BaseException:
        shutil.rmtree(half_made)
        raise


def _move(half_made: str, directory: str) -> None:
    """Rename to where nothing is, or an empty directory, which rename(2) replaces."""
    try:
        os.rename(half_made, directory)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise AlreadyExists(f"{directory} exists and is not an empty directory") from error


class _TarSink:
    """Members of a tar, all of the same owner and time."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def directory(self, name: str) -> None:
        self._out.write(encode_header(name.encode() + b"/", tar_header.DIRECTORY, mode=0o755))

    def file(self, name: str, size: int, contents: _Readable) -> None:
        self._out.write(encode_header(name.encode(), tar_header.REGULAR, mode=0o644, size=size))
        _copy(contents, self._out, size)
        self._out.write(bytes(-size % tar_header.BLOCK))

    def end(self) -> None:
        """Write what ends an archive."""
        self._out.write(tar_header.ZERO_BLOCK * 2)


class _DirectorySink:
    """Files below a directory."""

    def __init__(self, path: str) -> None:
        self._path = path

    def directory(self, name: str) -> None:
        os.mkdir(f"{self._path}/{name}")

    def file(self, name: str, size: int, contents: _Readable) -> None:
        with open(f"{self._path}/{name}", "xb") as file:
            _copy(contents, file, size)


def _copy(contents: _Readable, out: BinaryIO, size: int) -> None:
    left = size
    while left and (chunk := contents.read(min(left, _CHUNK))):
        out.write(chunk)
        left -= len(chunk)
    if left:
        raise Corrupt(f"a blob of {size} bytes ends {left} bytes too early")


class _Verified:
    """A blob being read, compared with its descriptor when it has been read whole."""

    def __init__(self, file: BinaryIO, expected: Descriptor) -> None:
        self._file = file
        self._expected = expected
        self._hash = hashlib.new(expected.digest.algorithm)
        self._left = expected.size

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        self._left -= len(data)
        ended = not data or self._left <= 0
        if ended and self._hash.hexdigest() != self._expected.digest.hex:
            raise Corrupt(f"blob {self._expected.digest} has other contents on disk")
        return data


def _choose(store: Store, names: Sequence[str]) -> list[_Saved]:
    chosen: dict[Digest, _Saved] = {}
    for name in names:
        for reference, descriptor in _matches(store, name):
            image = open_image(store, descriptor)
            saved = chosen.setdefault(image.descriptor.digest, _Saved(image))
            if reference is not None and reference not in saved.references:
                saved.references.append(reference)
    return list(chosen.values())


def _matches(store: Store, name: str) -> list[tuple[Reference | None, Descriptor]]:
    """Find what a word means here: unlike elsewhere, a bare repository is all its tags."""
    try:
        bare = Reference.parse(name, default_tag="")
    except InvalidReference:
        return [find(store, name)]
    if not bare.tag and bare.digest is None:
        of_repository = [
            (reference, descriptor)
            for reference, descriptor in store.references.list()
            if reference is not None and reference.name == bare.name and reference.tag
        ]
        if of_repository:
            return list(of_repository)
    reference, descriptor = find(store, name)
    return [(None if bare.digest else reference, descriptor)]


def _write(store: Store, saved: list[_Saved], sink: _Sink, archive_format: str) -> None:
    for name, data in _documents(saved, archive_format):
        sink.file(name, len(data), io.BytesIO(data))
    blobs = _blobs(saved)
    sink.directory("blobs")
    for algorithm in sorted({digest.algorithm for digest in blobs}):
        sink.directory(f"blobs/{algorithm}")
    with store.lease() as lease:
        lease.hold(*blobs)  # somebody may remove the images meanwhile
        for digest in sorted(blobs):
            with store.blobs.open(digest) as file:
                verified = _Verified(file, blobs[digest])
                sink.file(blob_file(digest), blobs[digest].size, verified)


def _documents(saved: list[_Saved], archive_format: str) -> Iterator[tuple[str, bytes]]:
    yield layout.LAYOUT_FILE, canonical({"imageLayoutVersion": layout.LAYOUT_VERSION})
    entries = [entry for item in saved for entry in _index_entries(item)]
    yield layout.INDEX_FILE, Index.of(tuple(entries)).to_bytes()
    if archive_format == "docker":
        yield layout.DOCKER_FILE, canonical([_docker_entry(item) for item in saved])
        repositories = _repositories(saved)
        if repositories:
            yield layout.REPOSITORIES_FILE, canonical(repositories)


def _index_entries(saved: _Saved) -> list[Descriptor]:
    entry = saved.image.descriptor.with_platform(saved.image.config.platform)
    # The whole name in both places, where Docker writes only the tag in one: podman reads no other.
    names = [
        {layout.CONTAINERD_NAME: str(reference), layout.REF_NAME: str(reference)}
        for reference in saved.references
    ]
    return [entry.with_annotations(name) for name in names] or [entry]


def _docker_entry(saved: _Saved) -> Json:
    return {
        "Config": blob_file(saved.image.id),
        "RepoTags": [reference.familiar for reference in saved.references] or None,
        "Layers": [blob_file(layer.descriptor.digest) for layer in saved.image.layers],
    }


def _repositories(saved: list[_Saved]) -> dict[str, dict[str, str]]:
    """Say which layer is on top of each tag's image, as tools before Docker 1.10 want it."""
    repositories: dict[str, dict[str, str]] = {}
    for item in saved:
        for reference in item.references if item.image.layers else ():
            top = item.image.layers[-1].descriptor.digest
            repositories.setdefault(reference.familiar_name, {})[reference.tag] = top.hex
    return repositories


def _blobs(saved: list[_Saved]) -> dict[Digest, Descriptor]:
    blobs: dict[Digest, Descriptor] = {}
    for item in saved:
        parts = [item.image.descriptor, item.image.manifest.config, *item.image.manifest.layers]
        blobs.update({part.digest: part for part in parts})
    return blobs
