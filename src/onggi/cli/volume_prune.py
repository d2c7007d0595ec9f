"""`onggi volume prune`."""

from __future__ import annotations

from onggi.cli import asking, pairs
from onggi.cli.options import Command, Given, Section, Switch, Texts
from onggi.cli.output.human import size

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
            Switch("force", "f", "Do not ask"),
        ),
    ),
    examples=(("onggi volume prune --filter label=trial", "what a trial has left"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove unused volumes, once the user means it, and say what that freed."""
    kinds = "all volumes" if given.on("all") else "the volumes without a name"
    if not given.on("force") and not asking.means_it(f"This removes {kinds} that are not used."):
        return 0
    conditions = pairs.filters(given.texts("filter"))
    if given.on("all"):
        conditions["all"] = ["true"]
    removed = invocation.engine.volumes.prune(conditions)
    if removed:
        print("Deleted Volumes:")
        print("".join(f"{name}\n" for name in removed))
    print(f"Total reclaimed space: {size(sum(removed.values()))}")
    return 0
