"""`onggi commit`."""

from __future__ import annotations

from onggi.cli.options import Command, Given, Section, Switch, Text, Texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="CONTAINER [REPOSITORY[:TAG]]",
    least=1,
    most=2,
    description="Makes an image of what a container changed: its writable layer becomes one more "
    "read-only layer on the image's own. Volumes are not part of it. A Dockerfile says better how "
    "an image came about; this is for looking into what happened.",
    sections=(
        Section(
            "Options",
            Text("author", "a", "NAME", "Who made it, as in 'Kim Onggi <kim@example.org>'"),
            Texts(
                "change", "c", "INSTRUCTION", "Apply a Dockerfile instruction, as in 'CMD [\"sh\"]'"
            ),
            Text("message", "m", "TEXT", "Say in the history what was done"),
            Switch("pause", "p", "Hold the container meanwhile, so that no file is half", on=True),
        ),
    ),
    examples=(("onggi commit -m 'before the crash' web web:evidence", "keep what is there"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Commit the container, and print the image's ID."""
    name, *rest = given.arguments
    identity = invocation.engine.containers.get(name).commit(
        reference=rest[0] if rest else None,
        message=given.text("message") or "",
        author=given.text("author") or "",
        changes=given.texts("change"),
        pause=given.on("pause"),
    )
    print(identity)
    return 0
