"""`onggi builder prune`."""

from __future__ import annotations

from onggi.cli import asking, pruning
from onggi.cli.options import Command, Given, Section, Switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Forgets what the steps of builds have made and what RUN --mount=type=cache keeps, "
    "except where a build is using it. Images stay whole; the next build runs every step anew.",
    sections=(
        Section(
            "Options",
            Switch("all", "a", "All of it, which is what is removed anyway"),
            asking.FORCE,
        ),
    ),
    examples=(("onggi builder prune -f", "make room"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove the build cache, once the user means it, and say what that freed."""
    if asking.means_it(given, "This removes the whole build cache."):
        pruning.tell_freed(invocation.engine.images.prune_cache())
    return 0
