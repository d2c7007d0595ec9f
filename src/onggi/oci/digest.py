"""Digests: names of bytes by their contents.

Source: image-spec descriptor.md, "Digests" and "Registered algorithms".
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.oci.fingerprint import SMALL_BYTES, sha256_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_LOWER_HEX = frozenset("0123456789abcdef")


class InvalidDigest(InvalidInput):
    """Text that is not a digest, or one of an algorithm that nobody registered."""

    def __init__(self, text: str) -> None:
        shown = text if len(text) <= 160 else text[:160] + "..."
        super().__init__(
            f"invalid digest {shown!r}", hint="expected sha256:<64 hex> or sha512:<128 hex>"
        )
        self.text = text


class Digest(str):
    """A valid digest, `algorithm:hex` in lower case; a plain string everywhere else.

    Raises: InvalidDigest: from the constructor, so that holding one is the proof.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Validate the text."""
        algorithm, _, encoded = text.partition(":")
        if len(encoded) != _HEX_LENGTHS.get(algorithm) or not _LOWER_HEX.issuperset(encoded):
            raise InvalidDigest(text)
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """Digest these bytes."""
        if algorithm == "sha256" and len(data) <= SMALL_BYTES:
            return cls(f"sha256:{sha256_hex(data)}")
        import hashlib

        return cls(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The part after the colon."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve hex digits, as `docker images` shows an ID."""
        return self.hex[:12]


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """Name each layer together with all that lie below it, the lowest first.

    Source: image-spec config.md, "Layer ChainID".
    """
    chain = list(diff_ids[:1])
    for diff_id in diff_ids[1:]:
        chain.append(Digest.of(f"{chain[-1]} {diff_id}".encode()))
    return chain
