"""`onggi rename`."""

from __future__ import annotations

from onggi.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER NEW_NAME",
    least=2,
    most=2,
    description="Gives a container another name. Its ID and its host name stay.",
    examples=(("onggi rename web web-before", "make room for the next one"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Rename the container."""
    name, wanted = given.arguments
    invocation.engine.containers.get(name).rename(wanted)
    return 0
