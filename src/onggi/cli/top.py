"""`onggi top`."""

from __future__ import annotations

from onggi.cli.options import Command
from onggi.cli.output.columns import aligned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER [PS OPTIONS]",
    least=1,
    most=None,
    interspersed=False,
    description="Shows the processes of a container as the host sees them, with the host's ps(1) "
    "and its options; -ef when none are given. The PIDs are the host's, too.",
    examples=(
        ("onggi top web", "who runs there"),
        ("onggi top web -o pid,rss,comm", "and how much memory each has"),
    ),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Print the processes."""
    name, *options = given.arguments
    found = invocation.engine.containers.get(name).top(*options)
    for line in aligned([found["Titles"], *found["Processes"]]):
        print(line)
    return 0
