"""`onggi wait`."""

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
    description="Waits until each container has ended and prints its exit code, one a line: the "
    "program's own, or 128+n when signal n ended it. One that has ended answers at once.",
    examples=(("code=$(onggi wait job)", "keep how a job ended"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Wait for containers one after the other; all must end anyway."""

    def wait(name: str) -> None:
        print(invocation.engine.containers.get(name).wait().code, flush=True)

    return invocation.each(given.arguments, wait)
