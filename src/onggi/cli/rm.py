"""`onggi rm`."""

from __future__ import annotations

from onggi.cli.options import Command, Section, Switch
from onggi.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER [CONTAINER...]",
    least=1,
    most=None,
    description="Removes containers: their writable layer, their log and their record. The image "
    "and named volumes stay.",
    sections=(
        Section(
            "Options",
            Switch("force", "f", "Kill it first if it runs; one that is not there is no error"),
            Switch("volumes", "v", "Remove the volumes without a name that came with it"),
        ),
    ),
    examples=(("onggi rm -f web", "end and remove a container, whatever it does"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove containers, and print the name of each that went."""
    force, volumes = given.on("force"), given.on("volumes")

    def remove(name: str) -> None:
        try:
            invocation.engine.containers.get(name).remove(force=force, volumes=volumes)
        except NotFound as error:
            if not force:
                raise
            invocation.complain(error)
            return
        print(name)

    return invocation.each(given.arguments, remove)
