"""`onggi export`."""

from __future__ import annotations

from onggi.cli import tarballs
from onggi.cli.options import Command, Given, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="CONTAINER",
    least=1,
    most=1,
    description="Writes the file system of a container, running or not, as one tar archive: the "
    "layers as the container sees them, merged. Volumes are not part of it.",
    sections=(Section("Options", tarballs.OUTPUT),),
    examples=(("onggi export web | tar -t | less", "list every file"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Write the archive."""
    container = invocation.engine.containers.get(given.arguments[0])
    with tarballs.written(given.text("output")) as file:
        container.export(file)
    return 0
