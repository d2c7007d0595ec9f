"""Names that users give to new images."""

from __future__ import annotations

from onggi.oci.reference import InvalidReference, Reference


def parse_tag(text: str) -> Reference:
    """Read a name that an image may be given.

    Raises: InvalidReference: it is none, or it would be a digest, which nobody can give.
    """
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise InvalidReference(text, "an image cannot be named by a digest")
    return reference
