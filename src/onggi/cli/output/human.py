"""Moments and sizes as Docker writes them.

Source: github.com/docker/go-units, size.go.
"""

from __future__ import annotations

import time

from onggi.engine.durations import duration

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def ago(moment: float, now: float) -> str:
    """Return how long before `now` a moment was (both in seconds since 1970)."""
    return f"{duration(now - moment)} ago" if moment > 0 else "N/A"


def size(count: float) -> str:
    """Return bytes in powers of 1000, three digits: images, layers, traffic."""
    return _scaled(count, 1000, _DECIMAL, 3)


def binary_size(count: float) -> str:
    """Return bytes in powers of 1024, four digits: memory."""
    return _scaled(count, 1024, _BINARY, 4)


def _scaled(count: float, base: int, units: tuple[str, ...], digits: int) -> str:
    step = 0
    while count >= base and step < len(units) - 1:
        count, step = count / base, step + 1
    return f"{count:.{digits}g}{units[step]}"


def local_time(moment: float) -> str:
    """Return a moment as Go prints one: `2026-01-31 09:30:00 +0100 CET`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(moment))


def now() -> float:
    """Return this moment, in seconds since 1970."""
    return time.time()


def iso_time(moment: float) -> str:
    """Return a moment as `history` prints one: `2026-01-31T09:30:00+01:00`."""
    written = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(moment))
    return f"{written[:-2]}:{written[-2:]}"
