"""`onggi image prune`."""

from __future__ import annotations

from onggi.cli import asking, pruning
from onggi.cli.options import Command, Given, Section, Switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Removes images that lost their last name to another and that no container uses; "
    "with -a also those with a name. Layers that the build cache needs stay until "
    "`onggi builder prune`.",
    sections=(
        Section(
            "Options",
            Switch("all", "a", "Remove images with a name, too"),
            pruning.FILTER,
            asking.FORCE,
        ),
    ),
    examples=(("onggi image prune -f --filter until=24h", "those older than a day"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove unused images, once the user means it, and say what that freed."""
    kinds = "all images" if given.on("all") else "the images without a name"
    if not asking.means_it(given, f"This removes {kinds} that are not used."):
        return 0
    conditions = pruning.conditions(given)
    if given.on("all"):
        conditions["dangling"] = ["false"]
    done, freed = invocation.engine.images.prune(conditions)
    pruning.tell("Images", (f"{what.lower()}: {text}" for what, text in done))
    pruning.tell_freed(freed)
    return 0
