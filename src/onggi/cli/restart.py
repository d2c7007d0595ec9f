"""`onggi restart`."""

from __future__ import annotations

from onggi.cli.options import Command, Section, Text, Whole
from onggi.cli.signal_names import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER [CONTAINER...]",
    least=1,
    most=None,
    description="Stops a container as `onggi stop` does, if it runs, and starts it again: what it "
    "wrote to its files is kept, its processes begin anew.",
    sections=(
        Section(
            "Options",
            Text("signal", "s", "SIGNAL", "Send this signal first"),
            Whole("timeout", "t", "SECONDS", "Wait so long before killing; 10 when nobody said"),
            Whole("time", "", "SECONDS", "The same, as older Docker spells it"),
        ),
    ),
    examples=(("onggi restart -t 30 web", "give it half a minute to end"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Restart containers, and print the name of each that runs again."""
    raw = given.text("signal")
    first = signal_number(raw) if raw else None
    seconds = given.number("timeout")
    seconds = given.number("time") if seconds is None else seconds

    def restart(name: str) -> None:
        invocation.engine.containers.get(name).restart(seconds, first).detach()
        print(name, flush=True)

    return invocation.each(given.arguments, restart)
