"""`events`: what a container uses, again and again, and when it ran out of memory."""

from __future__ import annotations

import sys
import time

from onggi.errors import Conflict, InvalidInput
from onggi.oci import jsontext
from onggi.resources import measure
from onggi.runtime.command import groups, record
from onggi.runtime.command.words import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.resources.measure import Usage
    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command(
    "CONTAINER",
    1,
    1,
    Option("stats", "", "Print what it uses once, and end"),
    Option("interval", "DURATION", "Time between two reports (default: 5s)"),
)
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TICK_SECONDS = 0.1  # how soon the end of the container, or of its memory, is told


def execute(words: Words, runtime: Runtime) -> int:
    """Print events, a line of JSON each, until the container has stopped."""
    (identifier,) = words.arguments
    interval = _duration(words.text("interval", "5s"))
    known = record.read(runtime.root, identifier)
    if record.status(runtime.root, known) in (record.STOPPED, record.CREATING):
        raise Conflict("container not running")
    if words.has("stats"):
        _print("stats", known, _stats(known))
        return 0
    kills, due = measure.oom_kills(known.cgroups), time.monotonic() + interval
    while record.status(runtime.root, known) != record.STOPPED:
        now = measure.oom_kills(known.cgroups)
        if now > kills:
            kills = now
            _print("oom", known, None)
        if time.monotonic() >= due:
            due += interval
            _print("stats", known, _stats(known))
        time.sleep(min(_TICK_SECONDS, interval))
    return 0


def _duration(text: str) -> float:
    """Read Go's spelling of a duration, in one unit: 5s, 100ms, 1.5m."""
    number = text.rstrip("smh")
    unit = text[len(number) :]
    try:
        seconds = float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        raise InvalidInput(f"invalid duration {text!r}", hint="such as 5s or 100ms") from None
    if not 0 < seconds < 1e9:
        raise InvalidInput("duration interval must be greater than 0")
    return seconds


def _print(kind: str, known: Record, data: dict[str, Any] | None) -> None:
    event: dict[str, Any] = {"type": kind, "id": known.id}
    if data is not None:
        event["data"] = data
    sys.stdout.write(jsontext.dumps(event) + "\n")
    sys.stdout.flush()


def _stats(known: Record) -> dict[str, Any]:
    """Return what runc calls stats. Source: runc types/events.go."""
    try:
        usage = measure.measure(groups.directories(known))
        stat = measure.memory_stat(known.cgroups)
        cpus = measure.cpus_nanoseconds(known.cgroups)
        refusals = measure.memory_refusals(known.cgroups)
    except FileNotFoundError:
        raise Conflict("container not running") from None
    return {
        "cpu": _cpu(usage, cpus),
        "memory": _memory(usage, stat, refusals),
        "pids": _given(current=usage.pids, limit=usage.pids_limit),
        "blkio": _block_io(usage),
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _cpu(usage: Usage, cpus: list[int]) -> dict[str, Any]:
    spent = _given(
        total=_nanoseconds(usage.cpu_usec),
        kernel=_nanoseconds(usage.cpu_system_usec),
        user=_nanoseconds(usage.cpu_user_usec),
    )
    return {
        "usage": {**spent, "percpu": cpus} if cpus else spent,
        "throttling": _given(
            periods=usage.cpu_periods,
            throttledPeriods=usage.cpu_throttled_periods,
            throttledTime=_nanoseconds(usage.cpu_throttled_usec),
        ),
    }


def _memory(usage: Usage, stat: dict[str, int], refusals: int | None) -> dict[str, Any]:
    return {
        "usage": _given(
            limit=usage.memory_limit_bytes,
            usage=usage.memory_bytes,
            max=usage.memory_peak_bytes,
            failcnt=refusals,
        ),
        "swap": _given(usage=usage.swap_bytes),
        "raw": stat,
    }


def _block_io(usage: Usage) -> dict[str, Any]:
    """Return sums over all devices, in runc's form, whose device 0:0 is none."""
    if usage.block_read_bytes is None:
        return {}
    return {
        "ioServiceBytesRecursive": _entries(usage.block_read_bytes, usage.block_written_bytes),
        "ioServicedRecursive": _entries(usage.block_reads, usage.block_writes),
    }


def _entries(read: int | None, written: int | None) -> list[dict[str, Any]]:
    return [
        {"major": 0, "minor": 0, "op": op, "value": value or 0}
        for op, value in (("Read", read), ("Write", written))
    ]


def _nanoseconds(microseconds: int | None) -> int | None:
    return None if microseconds is None else microseconds * 1000


def _given(**figures: int | None) -> dict[str, int]:
    return {name: value for name, value in figures.items() if value is not None}
