"""`onggi bootstrap`."""

from __future__ import annotations

import sys

from onggi.cli.options import Command, Given, Section, Switch, Text, Texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="SOURCE",
    least=1,
    most=1,
    description="Makes a base image out of packages, with no registry in between. "
    "`debian:SUITE` is a minimal Debian, installed by mmdebstrap; `busybox` is the static busybox "
    "with a link for each of its commands. The same packages give the same image, to the digest.",
    sections=(
        Section(
            "Options",
            Texts("include", "", "PACKAGE", "Install these, too; with commas or again and again"),
            Text("tag", "t", "NAME[:TAG]", "Name the image otherwise than SOURCE"),
            Switch("quiet", "q", "Print the image's name and no progress"),
        ),
    ),
    examples=(
        ("onggi bootstrap debian:bookworm", "Debian 12, for Dockerfiles to start FROM"),
        ("onggi bootstrap -t base --include ca-certificates,curl debian:trixie", "with more in it"),
        ("onggi bootstrap busybox", "a few commands in two megabytes, in a second"),
    ),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Make the image, and print its name."""
    name = invocation.engine.images.bootstrap(
        given.arguments[0],
        reference=given.text("tag"),
        include=[name for names in given.texts("include") for name in names.split(",")],
        progress=_hush if given.on("quiet") else _say,
    )
    print(name)
    return 0


def _say(line: str) -> None:
    # Beside the result, so that the name alone can be captured.
    print(line, file=sys.stderr, flush=True)


def _hush(_line: str) -> None:
    """Print nothing."""
