"""`onggi logs`."""

from __future__ import annotations

import sys
import time

from onggi.cli.options import Command, Section, Switch, Text, bad_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given
    from onggi.engine.options import LogLine

COMMAND = Command(
    arguments="CONTAINER",
    least=1,
    most=1,
    description="Prints what a container has written so far: its standard output to ours, its "
    "standard error to ours. The log outlives the program and goes with the container.",
    sections=(
        Section(
            "Options",
            Switch("follow", "f", "Go on printing until the container ends"),
            Text("since", "", "TIME", "Only what came after: 42m, 2026-01-31T09:30:00Z"),
            Text("tail", "n", "LINES", "Only so many lines from the end", "all"),
            Switch("timestamps", "t", "Print when each line came"),
            Text("until", "", "TIME", "Only what came before"),
        ),
    ),
    examples=(
        ("onggi logs -f --tail 10 web", "the last ten lines, and all that follow"),
        ("onggi logs --since 5m -t web", "the last five minutes, with times"),
    ),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Print a container's log."""
    container = invocation.engine.containers.get(given.arguments[0])
    lines = container.logs(
        follow=given.on("follow"),
        tail=_tail(given.text("tail") or "all"),
        since=_moment("since", given),
        until=_moment("until", given),
    )
    printer = _Printer(given.on("timestamps"), given.on("follow"))
    for line in lines:
        printer.write(line)
    sys.stderr.flush()
    return 0


def _tail(raw: str) -> int | None:
    if raw == "all":
        return None
    if not raw.removeprefix("-").isdigit():
        raise bad_value("-n, --tail", raw, 'expected a number of lines, or "all"')
    # A negative number is "all" to Docker.
    return None if raw.startswith("-") else int(raw)


def _moment(name: str, given: Given) -> int | None:
    raw = given.text(name)
    if not raw:
        return None
    from onggi.cli.moments import moment

    return moment(f"--{name}", raw, time.time_ns())


class _Printer:
    """Writes log entries to the stream each came from, with a time before every whole line."""

    __slots__ = ("_at_start", "_flush", "_timestamps")

    def __init__(self, timestamps: bool, flush: bool) -> None:
        self._timestamps = timestamps
        self._flush = flush
        self._at_start = {"stdout": True, "stderr": True}

    def write(self, line: LogLine) -> None:
        stream = (sys.stderr if line.stream == "stderr" else sys.stdout).buffer
        if self._timestamps and self._at_start[line.stream]:
            from onggi.cli.moments import stamp

            stream.write(f"{stamp(line.time_ns)} ".encode())
        stream.write(line.data)
        self._at_start[line.stream] = line.data.endswith(b"\n")
        if self._flush:
            stream.flush()
