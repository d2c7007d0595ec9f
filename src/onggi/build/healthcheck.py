"""HEALTHCHECK: its command and its times.

Source: docs.docker.com "HEALTHCHECK"; Go's time.ParseDuration; moby, api/types/container
(MinimumDuration = 1ms).
"""

from __future__ import annotations

from onggi.build.errors import SyntaxProblem
from onggi.build.flags import TEXT, Flags, read_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.statement import Statement

_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_SHORTEST_NS = 1_000_000


def read_healthcheck(statement: Statement) -> dict[str, object]:
    """Read HEALTHCHECK into what the image's config holds.

    Raises: SyntaxProblem: it is neither NONE nor CMD, or a time or count makes no sense.
    """
    if not statement.arguments:
        raise SyntaxProblem("HEALTHCHECK requires at least one argument")
    kind, *words = statement.arguments
    kind = kind.upper()
    if kind == "NONE":
        if words:
            raise SyntaxProblem("HEALTHCHECK NONE takes no arguments")
        return {"Test": ["NONE"]}
    flags = read_flags(statement.flags, {**dict.fromkeys(_TIMES, TEXT), "retries": TEXT})
    if kind != "CMD":
        raise SyntaxProblem(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)')
    if not words:
        raise SyntaxProblem("Missing command after HEALTHCHECK CMD")
    test = ["CMD" if statement.is_json else "CMD-SHELL", *words]
    return {"Test": test, **_settings(flags)}


def _settings(flags: Flags) -> dict[str, object]:
    settings: dict[str, object] = {}
    for flag, name in _TIMES.items():
        if duration := _duration_ns(flag, flags.text(flag)):
            settings[name] = duration
    if retries := flags.text("retries"):
        if not retries.isascii() or not retries.lstrip("+-").isdigit():
            raise SyntaxProblem(f"--retries must be a number, not {retries}")
        if int(retries) < 0:
            raise SyntaxProblem(f"--retries cannot be negative ({retries})")
        if int(retries):
            settings["Retries"] = int(retries)
    return settings


def _duration_ns(flag: str, text: str) -> int:
    """Read Go's ``1h2m3.5s``; nothing and 0 mean the default."""
    if not text or text == "0":
        return 0
    total = 0.0
    rest = text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        unit = rest[len(number) :]
        unit = unit[: len(unit) - len(unit.lstrip("nuµmsh"))]
        if unit not in _UNITS_NS or number.count(".") > 1 or not number.strip("."):
            raise SyntaxProblem(f"--{flag} must be a duration like 30s or 1m30s, not {text}")
        total += float(number) * _UNITS_NS[unit]
        rest = rest[len(number) + len(unit) :]
    if total and total < _SHORTEST_NS:
        raise SyntaxProblem(f"--{flag} cannot be less than 1ms")
    return round(total)
