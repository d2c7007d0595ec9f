"""Signals as people write them on the command line."""

from __future__ import annotations

from onggi.cli.options import bad_value
from onggi.linux import signals


def signal_number(raw: str) -> int:
    """Return the number of a signal given as `TERM`, `SIGTERM` or `15`.

    Raises: UsageError: there is no such signal.
    """
    try:
        return signals.parse(raw)
    except ValueError:
        why = "no such signal; write a name as in TERM, or a number from 1 to 64"
        raise bad_value("-s, --signal", raw, why) from None
