"""References: which image a name means, kept in the layout's index.json.

Each image is an entry of the index. A named one carries its canonical reference in the annotation
that the specification reserves for it; an image that lost its last name keeps its entry.

Source: image-spec image-layout.md, "index.json file";
annotations.md, "Pre-Defined Annotation Keys".
"""

from __future__ import annotations

import os

from onggi.errors import Corrupt, InvalidInput, NotFound
from onggi.oci import jsontext
from onggi.oci.descriptor import Descriptor
from onggi.oci.reference import Reference
from onggi.store.atomic import read_file, write_file
from onggi.store.locks import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from onggi.oci.digest import Digest
    from onggi.store.leases import Leases
    from onggi.store.workshop import Workshop

NAME = "org.opencontainers.image.ref.name"
EMPTY_INDEX = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
)


class References:
    """The names of a store's images; reading needs no lock, every change is one atomic step."""

    __slots__ = ("_durable", "_leases", "_lock_path", "_path", "_root", "_workshop")

    def __init__(
        self, root: str, workshop: Workshop, leases: Leases, *, durable: bool = True
    ) -> None:
        self._root = root
        self._path = f"{root}/index.json"
        self._lock_path = f"{root}/locks/index"
        self._workshop = workshop
        self._leases = leases
        self._durable = durable

    def get(self, reference: Reference | str) -> Descriptor | None:
        """Return what the reference means here, without the annotation that names it."""
        for name, entry in self._named():
            if name == str(reference):
                return _unnamed(Descriptor.from_json(entry, self._path))
        return None

    def list(self) -> list[tuple[Reference | None, Descriptor]]:
        """Return every image with its reference, or None, in the order they were added."""
        return [
            (
                Reference.parse(name) if name else None,
                _unnamed(Descriptor.from_json(entry, self._path)),
            )
            for name, entry in self._named()
        ]

    def set(self, reference: Reference | str | None, descriptor: Descriptor) -> None:
        """Let the reference mean this image; None adds the image without a name.

        An image that thereby loses its last name stays, untagged.

        Raises: NotFound: its blob is not here (or was collected just now).
        """
        name = str(reference) if reference is not None else ""
        with self._leases.publishing(), Lock(self._lock_path):
            self._require_blob(descriptor.digest)
            index = self._read()
            _assign(index["manifests"], name, descriptor)
            self._write(index)

    def delete(self, reference: Reference | str) -> bool:
        """Remove the reference; tell whether it was there. Its image may lose its entry."""
        return self._drop(lambda entry: _name(entry) == str(reference))

    def forget(self, digest: Digest) -> bool:
        """Remove every entry of an image, named or not; tell whether there was one."""
        return self._drop(lambda entry: entry.get("digest") == digest)

    def _drop(self, condition: Callable[[dict[str, Any]], bool]) -> bool:
        with Lock(self._lock_path):
            index = self._read()
            kept = [entry for entry in index["manifests"] if not condition(entry)]
            if len(kept) == len(index["manifests"]):
                return False
            index["manifests"] = kept
            self._write(index)
            return True

    def _named(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return ((_name(entry), entry) for entry in self._read()["manifests"])

    def _read(self) -> dict[str, Any]:
        try:
            index = jsontext.loads(read_file(self._path))
            entries = index["manifests"]
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"{self._path} is not an image index") from error
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise Corrupt(f"{self._path} is not an image index")
        return index  # type: ignore[no-any-return]

    def _write(self, index: dict[str, Any]) -> None:
        data = jsontext.dumps(index).encode()
        write_file(self._path, data, durable=self._durable, staging=self._workshop.path, mode=0o644)

    def _require_blob(self, digest: Digest) -> None:
        path = f"{self._root}/blobs/{digest.algorithm}/{digest.hex}"
        if not os.path.exists(path):
            raise NotFound(f"no such image here: {digest}")


def _name(entry: dict[str, Any]) -> str:
    """Return an entry's canonical reference, "" if it has none that we could use.

    Other tools write what their user typed (`skopeo copy … oci:DIR:busybox`).
    """
    text = (entry.get("annotations") or {}).get(NAME, "")
    try:
        return str(Reference.parse(text)) if text else ""
    except InvalidInput:
        return ""


def _unnamed(descriptor: Descriptor) -> Descriptor:
    others = {key: value for key, value in descriptor.annotations.items() if key != NAME}
    return descriptor.with_annotations(others)


def _assign(entries: list[dict[str, Any]], name: str, descriptor: Descriptor) -> None:
    """Change the entries: `name` moves to `descriptor`, who had it may become untagged."""
    digest = str(descriptor.digest)
    losers = [entry for entry in entries if name and _name(entry) == name]
    same = [entry for entry in entries if entry.get("digest") == digest]
    for entry in losers:
        _take_name(entries, entry)
    if name:
        _drop_unnamed(entries, same)
        annotations = {**_unnamed(descriptor).annotations, NAME: name}
        entries.append(descriptor.with_annotations(annotations).to_json())
    elif not any(entry in entries for entry in same):
        entries.append(_unnamed(descriptor).to_json())


def _take_name(entries: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    """Take an entry's name away; the entry goes too if its image has another one."""
    if sum(each.get("digest") == entry.get("digest") for each in entries) > 1:
        entries.remove(entry)
    else:
        del entry["annotations"][NAME]


def _drop_unnamed(entries: list[dict[str, Any]], candidates: list[dict[str, Any]]) -> None:
    for entry in candidates:
        if entry in entries and not _name(entry):
            entries.remove(entry)
