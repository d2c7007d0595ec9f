"""Moments as the documents of images write them: RFC 3339, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Write a moment given in seconds since 1970; whole seconds are written without a fraction."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat()
    return text.removesuffix("+00:00") + "Z"


def seconds_since_1970(text: str) -> float | None:
    """Read a moment; None if there is none, or nothing that Go or Python would write."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
