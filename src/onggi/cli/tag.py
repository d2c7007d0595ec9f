"""`onggi tag`."""

from __future__ import annotations

from onggi.cli.options import Command, Given

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    least=2,
    most=2,
    description="Gives an image one more name. Nothing is copied; if the name was another image's, "
    "that one loses it.",
    examples=(("onggi tag guestbook registry.example/guestbook:1.0", "a name for a registry"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Tag the image."""
    source, target = given.arguments
    invocation.engine.images.tag(source, target)
    return 0
