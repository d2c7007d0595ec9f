"""`onggi start`."""

from __future__ import annotations

from onggi.cli import attached
from onggi.cli.options import Command, Section, Switch, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given
    from onggi.engine.containers import Container

COMMAND = Command(
    arguments="CONTAINER [CONTAINER...]",
    least=1,
    most=None,
    docker="start",
    description="Starts containers that were created or have ended. One keeps the files that it "
    "wrote and the log of its earlier runs. Starting one that runs is no error.",
    sections=(
        Section(
            "Options",
            Switch("attach", "a", "Stay with it: pass on its output, and signals to it"),
            Switch("interactive", "i", "Stay with it, and pass on our input to it, too"),
            attached.DETACH_KEYS,
            Switch("sig-proxy", "", "Pass the signals we get on to the program", on=True),
        ),
    ),
    examples=(
        ("onggi start web", "start it in the background"),
        ("onggi start -ai shell", "go on in a shell that was left"),
    ),
)


class ManyAttached(UsageError):
    """One can stay with one container only."""

    exit_code = 1


def execute(given: Given, invocation: Invocation) -> int:
    """Start containers; return 0, or the exit code of the one that we stay with."""
    if given.on("attach") or given.on("interactive"):
        return _stay(given, invocation)

    def start(container: Container) -> None:
        if container.status != "running":
            container.start().detach()

    return invocation.each_container(given.arguments, start)


def _stay(given: Given, invocation: Invocation) -> int:
    if len(given.arguments) > 1:
        raise ManyAttached("you cannot start and attach multiple containers at once")
    container = invocation.engine.containers.get(given.arguments[0])
    wanted = given.on("interactive")
    return attached.stay(given, container, container.start, interactive=wanted)
