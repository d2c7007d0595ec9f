"""The documents of an image: index, manifest and config, as immutable views.

A view keeps the bytes it was read from, so that the digest survives, and the fields it does not
know. `with_*` returns a changed copy, which is written in our canonical form.

An index that is also a manifest means different images to different tools (CVE-2021-41190); such
a document is `Corrupt`.

Source: image-spec image-index.md, manifest.md, config.md; distribution manifest-v2-2.md.
"""

from __future__ import annotations

from onggi.errors import Corrupt, InvalidInput, Unsupported
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.document import Fields, copied, parse
from onggi.oci.jsontext import canonical
from onggi.oci.platform import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from onggi.oci.document import Json

_HISTORY_FIELDS = frozenset(("created", "created_by", "author", "comment", "empty_layer"))


class _Document:
    """What index, manifest and config share: their JSON, their bytes, equality by bytes."""

    __slots__ = ("_bytes", "_json")
    kind = "document"

    def __init__(self, value: dict[str, Json], data: bytes | None = None) -> None:
        self._json = value
        self._bytes = data
        self._check(Fields(value, self.kind))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read and validate a document; `to_bytes` will return these very bytes.

        Raises: Corrupt
        """
        return cls(parse(data, cls.kind), data)

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Self:
        """Validate a document given as JSON values, which are copied.

        Raises: Corrupt
        """
        return cls({name: copied(item) for name, item in value.items()})

    def to_json(self) -> dict[str, Json]:
        """Return the document as JSON values of the caller's own."""
        return {name: copied(item) for name, item in self._json.items()}

    def to_bytes(self) -> bytes:
        """Return the bytes the document was read from, or its canonical form."""
        if self._bytes is None:
            self._bytes = canonical(self._json)
        return self._bytes

    @property
    def digest(self) -> Digest:
        """The digest of `to_bytes()`."""
        return Digest.of(self.to_bytes())

    def with_fields(self, changes: Mapping[str, Json]) -> Self:
        """Return a copy with these fields of the document set; None removes one."""
        value = {**self._json, **changes}
        return self.from_json({name: item for name, item in value.items() if item is not None})

    def _check(self, fields: Fields) -> None:
        """Raise Corrupt unless every field that a property reads has its type."""

    def _fields(self) -> Fields:
        return Fields(self._json, self.kind)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return f"<{self.kind} {self.digest}>"


class _Addressed(_Document):
    """What index and manifest share: a media type, a descriptor, annotations."""

    __slots__ = ()
    allowed_types: frozenset[str] = frozenset()
    default_type = ""
    foreign_fields: tuple[str, ...] = ()

    @property
    def media_type(self) -> str:
        """The media type; a document that does not say is of the OCI type."""
        return self._fields().text("mediaType", self.default_type)

    @property
    def states_type(self) -> bool:
        """Whether the document itself says what its media type is."""
        return self._fields().has("mediaType")

    @property
    def annotations(self) -> dict[str, str]:
        """What the document says about itself."""
        return self._fields().text_mapping("annotations")

    def with_annotations(self, annotations: dict[str, str]) -> Self:
        """Return a copy with these annotations instead."""
        return self.with_fields({"annotations": annotations or None})

    def descriptor(self) -> Descriptor:
        """Describe this document to whoever refers to it."""
        return Descriptor.of(self.to_bytes(), self.media_type)

    def _check(self, fields: Fields) -> None:
        if fields.number("schemaVersion") == 1:
            raise Unsupported("image manifests of schema 1 are not supported")
        if fields.number("schemaVersion") != 2:
            raise Corrupt(f"{self.kind}: 'schemaVersion' is not 2")
        for name in self.foreign_fields:
            if fields.has(name):
                raise Corrupt(f"{self.kind} has {name!r}, which belongs to another kind")
        if fields.text("mediaType", self.default_type) not in self.allowed_types:
            raise Corrupt(f"{self.kind} has media type {fields.text('mediaType')[:200]!r}")
        fields.text_mapping("annotations")


class Manifest(_Addressed):
    """One image for one platform: a config and layers."""

    __slots__ = ()
    kind = "image manifest"
    allowed_types = media_types.MANIFESTS
    default_type = media_types.OCI_MANIFEST
    foreign_fields: tuple[str, ...] = ("manifests", "fsLayers")

    @classmethod
    def of(cls, config: Descriptor, layers: tuple[Descriptor, ...]) -> Manifest:
        """Make an OCI manifest."""
        return cls(
            {
                "schemaVersion": 2,
                "mediaType": media_types.OCI_MANIFEST,
                "config": config.to_json(),
                "layers": [layer.to_json() for layer in layers],
            }
        )

    @property
    def config(self) -> Descriptor:
        """The config's descriptor."""
        return Descriptor.from_json(self._json.get("config"), "image manifest: config")

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The layers' descriptors, the lowest first."""
        return _descriptors(self._fields(), "layers")

    def _check(self, fields: Fields) -> None:
        super()._check(fields)
        Descriptor.from_json(fields.required("config"), "image manifest: config")
        fields.required("layers")
        _descriptors(fields, "layers")


class Index(_Addressed):
    """A list of manifests: one image for several platforms, or the images of a layout."""

    __slots__ = ()
    kind = "image index"
    allowed_types = media_types.INDEXES
    default_type = media_types.OCI_INDEX
    foreign_fields: tuple[str, ...] = ("config", "layers", "fsLayers")

    @classmethod
    def of(cls, manifests: tuple[Descriptor, ...]) -> Index:
        """Make an OCI index."""
        return cls(
            {
                "schemaVersion": 2,
                "mediaType": media_types.OCI_INDEX,
                "manifests": [manifest.to_json() for manifest in manifests],
            }
        )

    @property
    def manifests(self) -> tuple[Descriptor, ...]:
        """The descriptors of the manifests, and of further indexes, in order."""
        return _descriptors(self._fields(), "manifests")

    def _check(self, fields: Fields) -> None:
        super()._check(fields)
        fields.required("manifests")
        _descriptors(fields, "manifests")


class History:
    """How one layer, or one change without a layer, came about.

    `created` is RFC 3339 text. Unknown fields are in `extra`.
    """

    __slots__ = ("author", "comment", "created", "created_by", "empty_layer", "extra")

    def __init__(
        self,
        *,
        created: str = "",
        created_by: str = "",
        author: str = "",
        comment: str = "",
        empty_layer: bool = False,
        extra: dict[str, Json] | None = None,
    ) -> None:
        self.created = created
        self.created_by = created_by
        self.author = author
        self.comment = comment
        self.empty_layer = empty_layer
        self.extra = extra or {}

    @classmethod
    def from_json(cls, value: Json) -> History:
        """Read one entry of a config's history."""
        fields = Fields(value, "image config: history")
        return cls(
            created=fields.text("created"),
            created_by=fields.text("created_by"),
            author=fields.text("author"),
            comment=fields.text("comment"),
            empty_layer=fields.truth("empty_layer"),
            extra=fields.others(_HISTORY_FIELDS),
        )

    def to_json(self) -> dict[str, Json]:
        """Write the entry; what is empty is left out."""
        known: dict[str, Json] = {
            "created": self.created,
            "created_by": self.created_by,
            "author": self.author,
            "comment": self.comment,
            "empty_layer": self.empty_layer,
        }
        return {**self.extra, **{name: value for name, value in known.items() if value}}


class ImageConfig(_Document):
    """What to run and how, for which platform, and which layers it stands on.

    A setting with a NUL or another control character is refused (InvalidInput): nothing could be
    run with it, or what it says is not what one sees. Words of programs may have lines and tabs.

    The properties from `env` on read the inner `config` object, which describes the container to
    make; `settings` is that object whole, Docker's own fields (Healthcheck, OnBuild, Shell)
    included.
    """

    __slots__ = ()
    kind = "image config"

    @classmethod
    def of(cls, platform: Platform, *, created: str = "") -> ImageConfig:
        """Make the config of an image without layers."""
        value: dict[str, Json] = {
            "architecture": platform.architecture,
            "os": platform.os,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        if platform.variant:
            value["variant"] = platform.variant
        if created:
            value["created"] = created
        return cls(value)

    @property
    def platform(self) -> Platform:
        """What the image's programs need of the machine."""
        fields = self._fields()
        return Platform(fields.text("os"), fields.text("architecture"), fields.text("variant"))

    @property
    def created(self) -> str:
        """When the image was made, RFC 3339 text, or "" when nobody says."""
        return self._fields().text("created")

    @property
    def author(self) -> str:
        """Who made the image."""
        return self._fields().text("author")

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The digests of the layers' uncompressed tars, the lowest first."""
        return _digests(self._fields().inner("rootfs"), "diff_ids")

    @property
    def history(self) -> tuple[History, ...]:
        """How the image came about, the oldest first."""
        return tuple(History.from_json(entry) for entry in self._fields().items("history"))

    @property
    def settings(self) -> dict[str, Json]:
        """The inner `config` object, a copy."""
        settings = copied(self._fields().mapping("config"))
        return settings if isinstance(settings, dict) else {}

    @property
    def env(self) -> tuple[str, ...]:
        """`NAME=value` texts."""
        return self._settings().texts("Env")

    @property
    def entrypoint(self) -> tuple[str, ...]:
        """The program and its first arguments."""
        return self._settings().texts("Entrypoint")

    @property
    def cmd(self) -> tuple[str, ...]:
        """The arguments, or without an entrypoint the whole command."""
        return self._settings().texts("Cmd")

    @property
    def user(self) -> str:
        """`user[:group]`, by name or number."""
        return self._settings().text("User")

    @property
    def working_dir(self) -> str:
        """The directory to start in, "" for the root."""
        return self._settings().text("WorkingDir")

    @property
    def stop_signal(self) -> str:
        """The signal that asks the program to end, "" for SIGTERM."""
        return self._settings().text("StopSignal")

    @property
    def labels(self) -> dict[str, str]:
        """What the image says about itself."""
        return self._settings().text_mapping("Labels")

    @property
    def exposed_ports(self) -> tuple[str, ...]:
        """`port/protocol` texts, sorted."""
        return tuple(sorted(self._settings().mapping("ExposedPorts")))

    @property
    def volumes(self) -> tuple[str, ...]:
        """Directories whose contents outlive the container, sorted."""
        return tuple(sorted(self._settings().mapping("Volumes")))

    @property
    def shell(self) -> tuple[str, ...]:
        """The shell of the Dockerfile's shell forms, () for the default."""
        return self._settings().texts("Shell")

    @property
    def onbuild(self) -> tuple[str, ...]:
        """Instructions for the images built on this one."""
        return self._settings().texts("OnBuild")

    @property
    def healthcheck(self) -> dict[str, Json]:
        """Docker's health check, {} when there is none."""
        return self._settings().mapping("Healthcheck")

    def with_settings(self, changes: Mapping[str, Json]) -> ImageConfig:
        """Return a copy with these fields of the inner `config` set; None removes one."""
        settings = {**self._fields().mapping("config"), **changes}
        kept = {name: value for name, value in settings.items() if value is not None}
        return self.with_fields({"config": kept})

    def with_platform(self, platform: Platform) -> ImageConfig:
        """Return a copy for another platform."""
        return self.with_fields(
            {
                "os": platform.os,
                "architecture": platform.architecture,
                "variant": platform.variant or None,
            }
        )

    def with_created(self, created: str) -> ImageConfig:
        """Return a copy made at another time, RFC 3339 text."""
        return self.with_fields({"created": created or None})

    def with_layer(self, diff_id: Digest, history: History) -> ImageConfig:
        """Return a copy with a layer on top, and the line of history that tells of it."""
        rootfs = self._fields().mapping("rootfs")
        rootfs["diff_ids"] = [*self.diff_ids, diff_id]
        return self.with_history(history).with_fields({"rootfs": rootfs})

    def with_history(self, history: History) -> ImageConfig:
        """Return a copy with one more line of history."""
        entries = [*self._fields().items("history"), history.to_json()]
        return self.with_fields({"history": entries})

    def _settings(self) -> Fields:
        return self._fields().inner("config")

    def _check(self, fields: Fields) -> None:
        for name in ("os", "architecture", "rootfs"):
            fields.required(name)
        if fields.inner("rootfs").text("type") != "layers":
            raise Corrupt("image config: rootfs: 'type' is not 'layers'")
        _digests(fields.inner("rootfs"), "diff_ids")
        for name in ("os", "architecture", "variant", "created", "author"):
            fields.text(name)
        for entry in fields.items("history"):
            History.from_json(entry)
        _check_settings(fields.inner("config"))


def parse_manifest_or_index(data: bytes, media_type: str) -> Manifest | Index:
    """Read the document that a descriptor of this media type refers to.

    Raises: Corrupt: among others, the document says it is of another media type.
        Unsupported: neither a manifest nor an index.
    """
    if media_type in media_types.INDEXES:
        document: Manifest | Index = Index.from_bytes(data)
    elif media_type in media_types.MANIFESTS:
        document = Manifest.from_bytes(data)
    else:
        raise Unsupported(f"no image can be read from media type {media_type[:200]!r}")
    if document.media_type != media_type and document.states_type:
        raise Corrupt(
            f"{document.kind} says it is {document.media_type!r}, its descriptor {media_type!r}"
        )
    return document


def _descriptors(fields: Fields, name: str) -> tuple[Descriptor, ...]:
    kind = f"{fields.kind}: {name}"
    return tuple(Descriptor.from_json(item, kind) for item in fields.items(name))


def _digests(fields: Fields, name: str) -> tuple[Digest, ...]:
    try:
        return tuple(map(Digest, fields.texts(name)))
    except InvalidInput as error:
        raise fields.refuse(error) from error


def _check_settings(fields: Fields) -> None:
    for name in ("Env", "Entrypoint", "Cmd", "Shell", "OnBuild"):
        for text in fields.texts(name):
            fields.require_plain(name, text, lines=True)
    for name in ("User", "WorkingDir", "StopSignal"):
        fields.require_plain(name, fields.text(name))
    for name in ("ExposedPorts", "Volumes"):
        for text in fields.mapping(name):
            fields.require_plain(name, text)
    fields.mapping("Healthcheck")
    fields.text_mapping("Labels")
