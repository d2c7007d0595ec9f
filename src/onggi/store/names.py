"""Names that become names of files, checked before they do."""

from __future__ import annotations

from onggi.errors import InvalidInput

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_REST = _FIRST | {"_", ".", "-"}
_LIMIT = 255  # NAME_MAX


def require_name(text: str, kind: str) -> str:
    """Return `text` if it is a valid name of a `kind`.

    Raises: InvalidInput: it is not `[a-zA-Z0-9][a-zA-Z0-9_.-]*` of at most 255 characters.
    Source: moby daemon/names/names.go, RestrictedNameChars (which wants two characters or more).
    """
    if text and len(text) <= _LIMIT and text[0] in _FIRST and _REST.issuperset(text):
        return text
    shown = text if len(text) <= 100 else text[:100] + "..."
    raise InvalidInput(
        f"invalid {kind} {shown!r}", hint="only [a-zA-Z0-9][a-zA-Z0-9_.-]* is allowed"
    )
