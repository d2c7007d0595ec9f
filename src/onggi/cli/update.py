"""`onggi update`."""

from __future__ import annotations

import sys

from onggi.cli import run
from onggi.cli.options import Command, Section, UsageError
from onggi.engine.options import CHANGEABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given
    from onggi.engine.containers import Container

COMMAND = Command(
    arguments="CONTAINER [CONTAINER...]",
    least=1,
    most=None,
    docker="update",
    description="Changes what containers may use: at once where they run, and for all their "
    "starts to come. What is not named stays. If the kernel refuses a number, none is changed.",
    sections=(
        Section(
            run.RESOURCES.heading,
            *(option for option in run.RESOURCES.options if option.name in CHANGEABLE),
        ),
    ),
    examples=(
        ("onggi update -m 256m web", "give it more memory while it works"),
        ("onggi update --cpus 0.2 $(onggi ps -q)", "slow everything down"),
    ),
)


class NothingToChange(UsageError):
    """No limit was named."""

    exit_code = 1


def execute(given: Given, invocation: Invocation) -> int:
    """Change the limits of each container, and print its name."""
    wanted = {name: given.text(name) for name in CHANGEABLE if given.text(name)}
    if not wanted:
        raise NothingToChange("you must provide one or more flags when using this command")

    def update(container: Container) -> None:
        for warning in container.update(wanted):
            print(f"WARNING: {warning}", file=sys.stderr)

    return invocation.each_container(given.arguments, update)
