"""`onggi pause`."""

from __future__ import annotations

from onggi.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER [CONTAINER...]",
    least=1,
    most=None,
    description="Holds every process of a container where it is. They use no processor, keep "
    "their memory and notice nothing; `onggi unpause` lets them go on.",
    examples=(("onggi pause web", "hold it while its volume is copied"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Pause containers, and print the name of each that was paused."""
    return invocation.each_container(given.arguments, lambda container: container.pause())
