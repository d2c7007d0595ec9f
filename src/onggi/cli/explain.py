"""`onggi explain`."""

from __future__ import annotations

import sys

from onggi.cli.careful import beneath
from onggi.cli.options import Command, Given

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="CONTAINER",
    least=1,
    most=1,
    description="Prints a shell script that, run as root, makes the same container with mkdir, "
    "echo, mount, unshare and their like, and without onggi. It is written from the very list of "
    "steps that the engine takes, and its comments say why each is there and in this order.",
    examples=(
        ("onggi explain web | less", "read how a container is made"),
        ("onggi explain web > web.sh", "keep it, to run with sh as root"),
    ),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Print the script."""
    beneath(sys.stdout).write(invocation.engine.containers.get(given.arguments[0]).explain())
    return 0
