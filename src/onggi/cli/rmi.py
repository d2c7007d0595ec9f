"""`onggi rmi`."""

from __future__ import annotations

from onggi.cli.options import Command, Given, Section, Switch
from onggi.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="IMAGE [IMAGE...]",
    least=1,
    most=None,
    description="Takes a name away from an image. With its last name the image goes, and every "
    "layer that no other image or container needs. An image that a container uses stays, unless "
    "forced.",
    sections=(
        Section(
            "Options", Switch("force", "f", "Remove all its names, and though containers use it")
        ),
    ),
    examples=(("onggi rmi guestbook:old", "one name less"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove images, and print what became of each name and image."""
    force = given.on("force")

    def remove(name: str) -> None:
        try:
            done = invocation.engine.images.remove(name, force=force)
        except NotFound as error:
            if not force:
                raise
            invocation.complain(error)
            return
        for what, text in done:
            print(f"{what}: {text}")

    return invocation.each(given.arguments, remove)
