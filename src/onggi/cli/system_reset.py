"""`onggi system reset`."""

from __future__ import annotations

from onggi.cli import asking
from onggi.cli.options import Command, Given, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Kills every container and removes everything below --root: containers, images, "
    "layers, volumes, the build cache. What is in volumes is lost too.",
    sections=(Section("Options", asking.FORCE),),
    examples=(("onggi --root /tmp/trial system reset --force", "clean up after a trial"),),
)

WARNING = "This kills all containers and removes all images, layers and volumes."


def execute(given: Given, invocation: Invocation) -> int:
    """Remove everything, once the user means it."""
    if not asking.means_it(given, WARNING):
        print("nothing was removed")
        return 1
    invocation.engine.system.reset()
    return 0
