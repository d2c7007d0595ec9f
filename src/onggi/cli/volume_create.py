"""`onggi volume create`."""

from __future__ import annotations

from onggi.cli import pairs
from onggi.cli.options import Command, Given, Section, Text, Texts
from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="[VOLUME]",
    most=1,
    description="Makes a directory that outlives containers, for `-v VOLUME:DIR`. Without a name "
    "it gets a long random one. If it is there already, nothing happens.",
    sections=(
        Section(
            "Options",
            Text("driver", "d", "DRIVER", "Only local: a directory of the host", "local"),
            Texts("label", "", "NAME[=VALUE]", "Attach a label to the volume"),
        ),
    ),
    examples=(("onggi volume create guestbook-data", "a place for what must stay"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Create the volume, and print its name."""
    if given.text("driver") != "local":
        raise InvalidInput(f"no such volume driver: {given.text('driver')}", hint="only local")
    name = given.arguments[0] if given.arguments else ""
    volume = invocation.engine.volumes.create(name, labels=pairs.labels(given.texts("label")))
    print(volume.name)
    return 0
