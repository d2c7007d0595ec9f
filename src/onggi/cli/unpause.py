"""`onggi unpause`."""

from __future__ import annotations

from onggi.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER [CONTAINER...]",
    least=1,
    most=None,
    description="Lets the processes of paused containers go on where `onggi pause` has held them.",
    examples=(("onggi unpause web", "let it go on"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Unpause containers, and print the name of each that was unpaused."""
    return invocation.each_container(given.arguments, lambda container: container.unpause())
