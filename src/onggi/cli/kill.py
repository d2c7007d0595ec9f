"""`onggi kill`."""

from __future__ import annotations

from onggi.cli.options import Command, Section, Text
from onggi.cli.signal_names import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER [CONTAINER...]",
    least=1,
    most=None,
    description="Sends a signal to the first process of a running container. SIGKILL cannot be "
    "refused, and takes the container's other processes with it.",
    sections=(Section("Options", Text("signal", "s", "SIGNAL", "Send this signal", "KILL")),),
    examples=(("onggi kill -s HUP web", "let it read its configuration again"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Signal containers, and print the name of each that was signalled."""
    number = signal_number(given.text("signal") or "KILL")
    return invocation.each_container(given.arguments, lambda container: container.kill(number))
