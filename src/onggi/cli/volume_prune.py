"""`onggi volume prune`."""

from __future__ import annotations

from onggi.cli import asking, pairs, pruning
from onggi.cli.options import Command, Given, Section, Switch, Texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Removes the volumes that no container has, with all that is in them: those that "
    "nobody gave a name; with -a also those with one.",
    sections=(
        Section(
            "Options",
            Switch("all", "a", "Remove volumes with a name, too"),
            Texts("filter", "", "NAME=VALUE", "Only those with this label, or with label!=NAME"),
            asking.FORCE,
        ),
    ),
    examples=(("onggi volume prune --filter label=trial", "what a trial has left"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove unused volumes, once the user means it, and say what that freed."""
    kinds = "all volumes" if given.on("all") else "the volumes without a name"
    if not asking.means_it(given, f"This removes {kinds} that are not used."):
        return 0
    conditions = pairs.filters(given.texts("filter"))
    if given.on("all"):
        conditions["all"] = ["true"]
    removed = invocation.engine.volumes.prune(conditions)
    pruning.tell("Volumes", removed)
    pruning.tell_freed(sum(removed.values()))
    return 0
