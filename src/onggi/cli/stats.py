"""`onggi stats`."""

from __future__ import annotations

import os
import sys
import time

from onggi.cli.careful import beneath
from onggi.cli.options import Command, Given, Section, Switch
from onggi.cli.output import human
from onggi.cli.output.columns import short_id
from onggi.cli.output.listing import FORMAT, Field, Listing, number_of, text_of
from onggi.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi import Engine
    from onggi.cli.invocation import Invocation
    from onggi.cli.output.listing import Record
    from onggi.engine.containers import Container

COMMAND = Command(
    arguments="[CONTAINER...]",
    most=None,
    description="Shows what containers use, read from the control groups that the host made for "
    "them: processor time over the last second (200% is two processors), memory without the file "
    "cache that could go at once, bytes read and written on disks, processes and threads.",
    sections=(
        Section(
            "Options",
            Switch("all", "a", "Show those that do not run, too"),
            FORMAT,
            Switch("no-stream", "", "Show once, and not again every second"),
            Switch("no-trunc", "", "Print whole IDs"),
        ),
    ),
    examples=(
        ("onggi stats --no-stream", "all that run, once"),
        ("onggi stats --format '{{.Name}} {{.MemPerc}}' web", "one figure of one container"),
    ),
)

SECOND = 1.0
NOT_RUNNING = "--"
# To the start of the screen, and clear from there.
REDRAW = "\033[H\033[J"


def execute(given: Given, invocation: Invocation) -> int:
    """Print what containers use, once or every second."""
    # Nobody waits for a container that does not exist.
    for name in given.arguments:
        invocation.engine.containers.get(name)
    listing = _listing(given.on("no-trunc"))
    before = _sample(given, invocation.engine)
    while True:
        time.sleep(SECOND)
        now = _sample(given, invocation.engine)
        records = [_record(before.get(identity), sample) for identity, sample in now.items()]
        lines = listing.lines(records, given.text("format"))
        if sys.stdout.isatty() and not given.on("no-stream"):
            beneath(sys.stdout).write(REDRAW)
        print("".join(f"{line}\n" for line in lines), end="", flush=True)
        if given.on("no-stream"):
            return 0
        before = now


def _sample(given: Given, engine: Engine) -> dict[str, Record]:
    """Measure every container that was asked for, once."""
    if given.arguments:
        containers = [engine.containers.get(name) for name in given.arguments]
    else:
        containers = engine.containers.list(all=given.on("all"))
    return {one.id: _measured(one) for one in containers}


def _measured(container: Container) -> Record:
    record: dict[str, object] = {"ID": container.id, "Name": container.name}
    if container.status != "running":
        return record
    try:
        usage = container.stats()
    except (NotFound, FileNotFoundError):
        # It ended since it was listed.
        return record
    return record | {
        "time": time.monotonic(),
        "cpu_usec": usage.cpu_usec,
        "memory": usage.memory_used_bytes,
        "limit": usage.memory_limit_bytes or _host_memory(),
        "read": usage.block_read_bytes,
        "written": usage.block_written_bytes,
        "pids": usage.pids,
    }


def _host_memory() -> int:
    """Return what bounds a container that has no limit, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _record(before: Record | None, now: Record) -> Record:
    """Return the sample with the processor's share since the one before."""
    if before is None or "time" not in before or "time" not in now:
        return now
    passed = (number_of(now, "time") - number_of(before, "time")) * 1_000_000
    used = number_of(now, "cpu_usec") - number_of(before, "cpu_usec")
    return {**now, "cpu": max(100 * used / passed, 0.0)}


def _listing(whole: bool) -> Listing:
    return Listing(
        (
            Field("Container", "CONTAINER", text_of("Name")),
            Field("ID", "CONTAINER ID", lambda one: _identity(one, whole)),
            Field("Name", "NAME", text_of("Name")),
            Field("CPUPerc", "CPU %", lambda one: _percent(one, "cpu")),
            Field("MemUsage", "MEM USAGE / LIMIT", _memory),
            Field("MemPerc", "MEM %", _memory_percent),
            Field("NetIO", "NET I/O", _network),
            Field("BlockIO", "BLOCK I/O", _disk),
            Field("PIDs", "PIDS", _pids),
        ),
        ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"),
    )


def _identity(record: Record, whole: bool) -> str:
    identity = str(record["ID"])
    return identity if whole else short_id(identity)


def _percent(record: Record, name: str) -> str:
    return f"{number_of(record, name):.2f}%" if name in record else NOT_RUNNING


def _memory(record: Record) -> str:
    used, limit = number_of(record, "memory"), number_of(record, "limit")
    if record.get("memory") is None:
        return f"{NOT_RUNNING} / {NOT_RUNNING}"
    return f"{human.binary_size(used)} / {human.binary_size(limit)}"


def _memory_percent(record: Record) -> str:
    used, limit = number_of(record, "memory"), number_of(record, "limit")
    return f"{100 * used / limit:.2f}%" if limit else NOT_RUNNING


def _network(record: Record) -> str:
    # A container without a network has nothing to count, and one on the host's network is not
    # counted apart; Docker writes the same.
    return "0B / 0B" if "time" in record else f"{NOT_RUNNING} / {NOT_RUNNING}"


def _disk(record: Record) -> str:
    if record.get("read") is None:
        return f"{NOT_RUNNING} / {NOT_RUNNING}"
    return f"{human.size(number_of(record, 'read'))} / {human.size(number_of(record, 'written'))}"


def _pids(record: Record) -> str:
    return str(record["pids"]) if record.get("pids") is not None else NOT_RUNNING
