"""`onggi ps`."""

from __future__ import annotations

from onggi.cli import pairs
from onggi.cli.options import Command, Section, Switch, Texts, Whole
from onggi.cli.output import human
from onggi.cli.output.columns import short_id, shortened
from onggi.cli.output.listing import (
    FORMAT,
    Field,
    Listing,
    number_of,
    pairs_of,
    text_of,
    texts_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given
    from onggi.cli.output.listing import Record

COMMAND = Command(
    description="Lists the containers that run; with -a also those that have ended, which keep "
    "their file system and their log until they are removed.",
    sections=(
        Section(
            "Options",
            Switch("all", "a", "List containers in every state"),
            Texts(
                "filter",
                "f",
                "NAME=VALUE",
                "Only those with this ancestor, exited, health, id, label, name, network, "
                "status or volume, or made before or since another",
            ),
            FORMAT,
            Whole("last", "n", "NUMBER", "The last containers made, in every state"),
            Switch("latest", "l", "The last container made, in every state"),
            Switch("no-trunc", "", "Print whole IDs and commands"),
            Switch("quiet", "q", "Print IDs only"),
            Switch("size", "s", "Print how much each wrote"),
        ),
    ),
    examples=(
        ("onggi ps -a -f status=exited", "those that have ended"),
        ("onggi ps --format 'table {{.Names}}\\t{{.Status}}'", "columns of your choice"),
        ("onggi rm $(onggi ps -q -f status=exited)", "remove all that have ended"),
    ),
)

SHOWN = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def execute(given: Given, invocation: Invocation) -> int:
    """Print the containers."""
    records = _records(given, invocation)
    whole = given.on("no-trunc")
    if given.on("quiet") and not given.text("format"):
        lines = [_identity(record, whole) for record in records]
    else:
        shown = (*SHOWN, "Size") if given.on("size") else SHOWN
        lines = _listing(whole).lines(records, given.text("format"), shown)
    print("".join(f"{line}\n" for line in lines), end="")
    return 0


def _records(given: Given, invocation: Invocation) -> list[Record]:
    last = 1 if given.on("latest") else given.number("last")
    conditions = pairs.filters(given.texts("filter"))
    # A condition on the state, or a number of the last ones, speaks of every state, as in Docker.
    everything = given.on("all") or last is not None or bool({"status", "exited"} & set(conditions))
    found = invocation.engine.containers.list(all=everything, filters=conditions)
    # Adding up a container's files takes a while, and is done only where it will be seen.
    size = given.on("size") or ".Size" in (given.text("format") or "")
    records: list[Record] = [container.summary(size=size) for container in found]
    records.sort(key=lambda record: number_of(record, "Created"), reverse=True)
    return records if last is None or last < 0 else records[:last]


def _listing(whole: bool) -> Listing:
    now = human.now()
    return Listing(
        (
            Field("ID", "CONTAINER ID", lambda one: _identity(one, whole)),
            Field("Names", "NAMES", _names),
            Field("Image", "IMAGE", lambda one: _image(one, whole)),
            Field("Command", "COMMAND", lambda one: _command(one, whole)),
            Field(
                "CreatedAt", "CREATED AT", lambda one: human.local_time(number_of(one, "Created"))
            ),
            Field("RunningFor", "CREATED", lambda one: human.ago(number_of(one, "Created"), now)),
            Field("Ports", "PORTS", lambda _one: ""),
            Field("State", "STATE", text_of("State")),
            Field("Status", "STATUS", text_of("Status")),
            Field("Size", "SIZE", _size),
            Field("Labels", "LABELS", lambda one: pairs_of(one, "Labels")),
            Field("Mounts", "MOUNTS", lambda one: _mounts(one, whole)),
            Field("LocalVolumes", "LOCAL VOLUMES", _volumes),
            Field("Networks", "NETWORKS", _network),
        ),
        SHOWN,
        labels="Labels",
    )


def _identity(record: Record, whole: bool) -> str:
    identity = str(record["Id"])
    return identity if whole else short_id(identity)


def _image(record: Record, whole: bool) -> str:
    name = str(record.get("Image") or "")
    return short_id(name) if name.startswith("sha256:") and not whole else name


def _names(record: Record) -> str:
    return ",".join(name.removeprefix("/") for name in texts_of(record, "Names"))


def _command(record: Record, whole: bool) -> str:
    command = str(record.get("Command") or "")
    shown = command if whole else shortened(command, 20)
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _size(record: Record) -> str:
    written, root = number_of(record, "SizeRw"), number_of(record, "SizeRootFs")
    text = human.size(written)
    return f"{text} (virtual {human.size(root)})" if root else text


def _mounts(record: Record, whole: bool) -> str:
    names = [str(mount.get("Name") or mount.get("Source") or "") for mount in _all_mounts(record)]
    return ",".join(name if whole else shortened(name, 15) for name in names)


def _volumes(record: Record) -> str:
    return str(sum(mount.get("Driver") == "local" for mount in _all_mounts(record)))


def _all_mounts(record: Record) -> list[Record]:
    found = record.get("Mounts")
    return found if isinstance(found, list) else []


def _network(record: Record) -> str:
    host = record.get("HostConfig")
    return str(host.get("NetworkMode") or "") if isinstance(host, dict) else ""
