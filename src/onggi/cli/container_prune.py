"""`onggi container prune`."""

from __future__ import annotations

from onggi.cli import asking, pruning
from onggi.cli.options import Command, Given, Section
from onggi.cli.output.human import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Removes the containers that do not run, with all that they wrote.",
    sections=(Section("Options", pruning.FILTER, pruning.FORCE),),
    examples=(("onggi container prune -f --filter until=24h", "those made a day ago or earlier"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove what does not run, once the user means it, and say what that freed."""
    if not given.on("force") and not asking.means_it("This removes all containers that don't run."):
        return 0
    removed = invocation.engine.containers.prune(pruning.conditions(given))
    if removed:
        print("Deleted Containers:")
        print("".join(f"{identity}\n" for identity in removed))
    print(f"Total reclaimed space: {size(sum(removed.values()))}")
    return 0
