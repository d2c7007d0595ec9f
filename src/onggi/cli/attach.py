"""`onggi attach`."""

from __future__ import annotations

from onggi.cli import attached
from onggi.cli.options import Command, Section, Switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

COMMAND = Command(
    arguments="CONTAINER",
    least=1,
    most=1,
    description="Attaches to a container that runs: shows what its program writes from now on and, "
    "if it was made with -i, passes our input on to it. The exit code is the program's. A terminal "
    "is left with ctrl-p ctrl-q, and the program goes on.",
    sections=(
        Section(
            "Options",
            attached.DETACH_KEYS,
            Switch("no-stdin", "", "Pass no input on"),
            Switch("sig-proxy", "", "Pass the signals we get on to the program", on=True),
        ),
    ),
    examples=(("onggi attach --no-stdin web", "watch what it writes, until it ends"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Stay with the container; return its program's exit code."""
    container = invocation.engine.containers.get(given.arguments[0])
    wanted = not given.on("no-stdin")
    return attached.stay(given, container, container.attach, interactive=wanted)
