"""`onggi import`."""

from __future__ import annotations

from onggi.cli import tarballs
from onggi.cli.options import Command, Given, Section, Text, Texts, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="FILE|- [REPOSITORY[:TAG]]",
    least=1,
    most=2,
    description="Makes an image of one layer from a tar archive of a root file system, as "
    "`onggi export` or mmdebstrap write one; `-` is standard input.",
    sections=(
        Section(
            "Options",
            Texts(
                "change", "c", "INSTRUCTION", "Apply a Dockerfile instruction, as in 'CMD [\"sh\"]'"
            ),
            Text("message", "m", "TEXT", "Say in the history where it came from"),
            Text("platform", "", "OS/ARCH", "What machine its programs are for; this one"),
        ),
    ),
    examples=(
        ("mmdebstrap bookworm | onggi import - debian:bookworm", "Debian from its packages"),
    ),
)


class NotFetched(UsageError):
    """The archive would have to be fetched first."""

    exit_code = 1


def execute(given: Given, invocation: Invocation) -> int:
    """Import the archive, and print the image's ID."""
    source, *rest = given.arguments
    if source.startswith(("http://", "https://")):
        raise NotFetched(f"cannot fetch {source!r}", hint="curl it into: onggi import - NAME")
    with tarballs.read(None if source == "-" else source) as file:
        identity = invocation.engine.images.import_(
            file,
            reference=rest[0] if rest else None,
            changes=given.texts("change"),
            message=given.text("message") or "",
            platform=given.text("platform") or "",
        )
    print(identity)
    return 0
