"""`onggi save`."""

from __future__ import annotations

from onggi.cli import tarballs
from onggi.cli.options import Command, Given, Section, Text, bad_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

FORMATS = ("docker", "oci")

COMMAND = Command(
    arguments="IMAGE [IMAGE...]",
    least=1,
    most=None,
    description="Writes images with all their layers and names into one tar archive, which "
    "`onggi load`, `docker load`, podman and skopeo read. The default suits them all: an OCI image "
    "layout that also holds Docker's manifest.json.",
    sections=(
        Section(
            "Options",
            Text("format", "", "FORMAT", '"docker" or "oci"', "docker"),
            tarballs.OUTPUT,
        ),
    ),
    examples=(
        ("onggi save -o guestbook.tar guestbook", "to a file"),
        ("onggi save guestbook | ssh host onggi load", "to another machine"),
    ),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Write the archive."""
    style = given.text("format") or ""
    if style not in FORMATS:
        raise bad_value("--format", style, f"there are {' and '.join(FORMATS)}")
    with tarballs.written(given.text("output")) as file:
        invocation.engine.images.save(given.arguments, file, format=style)
    return 0
