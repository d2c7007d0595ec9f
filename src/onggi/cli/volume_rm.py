"""`onggi volume rm`."""

from __future__ import annotations

from onggi.cli.options import Command, Given, Section, Switch
from onggi.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="VOLUME [VOLUME...]",
    least=1,
    most=None,
    description="Removes volumes with all that is in them. One that a container uses, running or "
    "not, is not removed.",
    sections=(Section("Options", Switch("force", "f", "One that is not there is no error")),),
    examples=(("onggi volume rm guestbook-data", "gone for good"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove volumes, and print the name of each that went."""
    force = given.on("force")

    def remove(name: str) -> None:
        try:
            invocation.engine.volumes.remove(name)
        except NotFound:
            if not force:
                raise
        print(name)

    return invocation.each(given.arguments, remove)
