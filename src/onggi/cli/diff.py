"""`onggi diff`."""

from __future__ import annotations

from onggi.cli.options import Command, Given
from onggi.linux.control_characters import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="CONTAINER",
    least=1,
    most=1,
    description="Lists what a container added (A), changed (C) and deleted (D) on top of its "
    "image. It is read off the writable layer of the overlay: a changed file is there as a "
    "whole copy, a deleted one as a character device 0:0, a whiteout.",
    examples=(("onggi diff web", "what has the service written?"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Print the changes."""
    for kind, path in invocation.engine.containers.get(given.arguments[0]).changes():
        print(kind, one_line(path))
    return 0
