"""`onggi volume ls`."""

from __future__ import annotations

from onggi.cli.options import Command, Given, Section, Switch
from onggi.cli.output.listing import FORMAT, Field, Listing, pairs_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Lists volumes: directories that outlive the containers they are mounted in.",
    sections=(Section("Options", FORMAT, Switch("quiet", "q", "Print names only")),),
    examples=(("onggi volume ls --format '{{.Name}} {{.Mountpoint}}'", "where each one lies"),),
)

LISTING = Listing(
    (
        Field("Driver", "DRIVER", text_of("Driver")),
        Field("Name", "VOLUME NAME", text_of("Name")),
        Field("Mountpoint", "MOUNTPOINT", text_of("Mountpoint")),
        Field("Scope", "SCOPE", text_of("Scope")),
        Field("Labels", "LABELS", lambda one: pairs_of(one, "Labels")),
    ),
    ("Driver", "Name"),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Print the volumes."""
    records = [volume.inspect() for volume in invocation.engine.volumes.list()]
    records.sort(key=lambda record: str(record["Name"]))
    style = given.text("format")
    if given.on("quiet") and not style:
        style = "{{.Name}}"
    for line in LISTING.lines(records, style):
        print(line)
    return 0
