"""`onggi volume ls`."""

from __future__ import annotations

from onggi.cli import pairs
from onggi.cli.options import Command, Given, Section, Switch, Texts
from onggi.cli.output.listing import FORMAT, Field, Listing, pairs_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Lists volumes: directories that outlive the containers they are mounted in.",
    sections=(
        Section(
            "Options",
            Texts(
                "filter", "f", "NAME=VALUE", "Only those with this dangling, driver, label or name"
            ),
            FORMAT,
            Switch("quiet", "q", "Print names only"),
        ),
    ),
    examples=(
        ("onggi volume ls -q -f dangling=true", "those that no container has"),
        ("onggi volume ls --format '{{.Name}} {{.Mountpoint}}'", "where each one lies"),
    ),
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
    labels="Labels",
)


def execute(given: Given, invocation: Invocation) -> int:
    """Print the volumes."""
    conditions = pairs.filters(given.texts("filter"))
    records = [volume.inspect() for volume in invocation.engine.volumes.list(conditions)]
    records.sort(key=lambda record: str(record["Name"]))
    style = given.text("format")
    if given.on("quiet") and not style:
        style = "{{.Name}}"
    for line in LISTING.lines(records, style):
        print(line)
    return 0
