"""`onggi system reset`."""

from __future__ import annotations

import sys

from onggi.cli.options import Command, Given, Section, Switch, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Kills every container and removes everything below --root: containers, images, "
    "layers, volumes, the build cache. What is in volumes is lost too.",
    sections=(Section("Options", Switch("force", "f", "Do not ask")),),
    examples=(("onggi --root /tmp/trial system reset --force", "clean up after a trial"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove everything, once the user means it."""
    if not given.on("force") and not _means_it():
        print("nothing was removed")
        return 1
    invocation.engine.system.reset()
    return 0


def _means_it() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("this removes everything, and nobody is here to ask", hint="add --force")
    print("This kills all containers and removes all images, layers and volumes.")
    print("Go on? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
