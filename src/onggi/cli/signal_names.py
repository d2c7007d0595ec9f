"""Signals as people write them on the command line."""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.linux import signals


def signal_number(raw: str) -> int:
    """Return the number of a signal given as `TERM`, `SIGTERM` or `15`.

    Raises: InvalidInput: there is no such signal.
    """
    try:
        return signals.parse(raw)
    except ValueError:
        hint = "a name such as TERM, or a number from 1 to 64"
        raise InvalidInput(f"invalid signal: {raw}", hint=hint) from None
