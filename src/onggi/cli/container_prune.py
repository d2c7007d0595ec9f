"""`onggi container prune`."""

from __future__ import annotations

from onggi.cli import asking, pruning
from onggi.cli.options import Command, Given, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Removes the containers that do not run, with all that they wrote.",
    sections=(Section("Options", pruning.FILTER, asking.FORCE),),
    examples=(("onggi container prune -f --filter until=24h", "those made a day ago or earlier"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove what does not run, once the user means it, and say what that freed."""
    if asking.means_it(given, "This removes all containers that don't run."):
        removed = invocation.engine.containers.prune(pruning.conditions(given))
        pruning.tell("Containers", removed)
        pruning.tell_freed(sum(removed.values()))
    return 0
