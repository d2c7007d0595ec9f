"""Moments as `--since` and `--until` take them, and as `--timestamps` prints them.

Source: docs.docker.com/reference/cli/docker/container/logs, "--since";
pkg.go.dev/time#ParseDuration.
"""

from __future__ import annotations

import time

from onggi.cli.options import bad_value

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}
_UNITS["h"] = 3600 * 10**9
_SECOND = 10**9


def moment(option: str, raw: str, now_ns: int) -> int:
    """Return a moment in nanoseconds since 1970.

    Understood are a duration before now (`42m`, `1h30m`), seconds since 1970 (`1700000000.5`)
    and ISO 8601 (`2026-01-31`, `2026-01-31T09:30:00Z`; local time when no zone is written).

    Raises: UsageError: it is none of these.
    """
    found = _duration(raw)
    if found is not None:
        return now_ns - found
    found = _seconds(raw)
    if found is None:
        found = _written_out(raw)
    if found is None:
        why = "expected a duration (42m), a time (2026-01-31T09:30:00Z) or seconds since 1970"
        raise bad_value(option, raw, why)
    return found


def _duration(raw: str) -> int | None:
    """Go's durations: numbers, each with its unit."""
    total, rest = 0.0, raw
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        unit_end = digits
        while unit_end < len(rest) and rest[unit_end].isalpha():
            unit_end += 1
        unit = _UNITS.get(rest[digits:unit_end])
        number = _number(rest[:digits])
        if unit is None or number is None:
            return None
        total, rest = total + number * unit, rest[unit_end:]
    return int(total) if raw else None


def _number(text: str) -> float | None:
    if text.count(".") > 1 or not text.replace(".", "").isdigit():
        return None
    return float(text)


def _seconds(raw: str) -> int | None:
    """Seconds since 1970, with up to nine digits behind the point (a float would lose some)."""
    whole, _, fraction = raw.partition(".")
    if not whole.isdigit() or not (fraction.isdigit() or not fraction):
        return None
    return int(whole) * _SECOND + int(fraction[:9].ljust(9, "0"))


def _written_out(raw: str) -> int | None:
    from datetime import datetime

    try:
        written = datetime.fromisoformat(raw)
    except ValueError:
        return None
    # In two parts, because a float does not hold so many digits.
    return int(written.replace(microsecond=0).timestamp()) * _SECOND + written.microsecond * 1000


def stamp(moment_ns: int) -> str:
    """Return a moment as `logs --timestamps` prints it, in UTC with nine digits."""
    seconds, nanoseconds = divmod(moment_ns, _SECOND)
    written = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{written}.{nanoseconds:09}Z"
