"""Descriptors: how one document of an image names another.

Source: image-spec descriptor.md, "Properties".
"""

from __future__ import annotations

from onggi.errors import Corrupt, InvalidInput
from onggi.oci.digest import Digest
from onggi.oci.document import Fields, copied
from onggi.oci.platform import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.oci.document import Json

_KNOWN = frozenset(("mediaType", "digest", "size", "annotations", "platform"))


class Descriptor:
    """A blob's type, digest and size, and what its referrer says about it.

    `extra` holds the fields that we do not know; they are written back as they came.
    """

    __slots__ = ("annotations", "digest", "extra", "media_type", "platform", "size")

    def __init__(
        self,
        *,
        media_type: str,
        digest: Digest,
        size: int,
        annotations: dict[str, str] | None = None,
        platform: Platform | None = None,
        extra: dict[str, Json] | None = None,
    ) -> None:
        self.media_type = media_type
        self.digest = digest
        self.size = size
        self.annotations = annotations or {}
        self.platform = platform
        self.extra = extra or {}

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Descriptor:
        """Describe these bytes."""
        return cls(media_type=media_type, digest=Digest.of(data), size=len(data))

    @classmethod
    def from_json(cls, value: Json, kind: str = "descriptor") -> Descriptor:
        """Read a descriptor; `kind` names it in complaints.

        Raises: Corrupt
        """
        fields = Fields(value, kind)
        for name in ("mediaType", "digest", "size"):
            fields.required(name)
        try:
            digest = Digest(fields.text("digest"))
        except InvalidInput as error:
            raise fields.refuse(error) from error
        if fields.number("size") < 0:
            raise Corrupt(f"{kind}: 'size' is negative")
        platform = fields.mapping("platform")
        return cls(
            media_type=fields.text("mediaType"),
            digest=digest,
            size=fields.number("size"),
            annotations=fields.text_mapping("annotations"),
            platform=Platform.from_json(platform, f"{kind}: platform") if platform else None,
            extra=fields.others(_KNOWN),
        )

    def to_json(self) -> dict[str, Json]:
        """Write the descriptor as a JSON object of its own."""
        value: dict[str, Json] = {name: copied(item) for name, item in self.extra.items()}
        value |= {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        if self.platform is not None:
            value["platform"] = self.platform.to_json()
        return value

    def with_annotations(self, annotations: dict[str, str]) -> Descriptor:
        """Return the same descriptor with these annotations instead."""
        return self._replaced(annotations, self.platform)

    def with_platform(self, platform: Platform | None) -> Descriptor:
        """Return the same descriptor with this platform instead."""
        return self._replaced(self.annotations, platform)

    def bare(self) -> Descriptor:
        """Return type, digest and size alone: what is true whoever refers to the blob."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size)

    def _replaced(self, annotations: dict[str, str], platform: Platform | None) -> Descriptor:
        return Descriptor(
            media_type=self.media_type,
            digest=self.digest,
            size=self.size,
            annotations=annotations,
            platform=platform,
            extra=self.extra,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descriptor) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.media_type, self.digest, self.size))

    def __repr__(self) -> str:
        return f"Descriptor({self.media_type!r}, {str(self.digest)!r}, {self.size})"
