"""`onggi restart`."""

from __future__ import annotations

from onggi.cli import stopping
from onggi.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER [CONTAINER...]",
    least=1,
    most=None,
    description="Stops a container as `onggi stop` does, if it runs, and starts it again: what it "
    "wrote to its files is kept, its processes begin anew.",
    sections=(stopping.OPTIONS,),
    examples=(("onggi restart -t 30 web", "give it half a minute to end"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Restart containers, and print the name of each that runs again."""
    first, seconds = stopping.signal(given), stopping.seconds(given)
    return invocation.each_container(
        given.arguments, lambda container: container.restart(seconds, first).detach()
    )
