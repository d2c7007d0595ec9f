"""`onggi load`."""

from __future__ import annotations

from onggi.cli import tarballs
from onggi.cli.options import Command, Given, Section, Switch, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Reads images from an archive that onggi, docker, podman, buildah or skopeo wrote, "
    "in Docker's form or as an OCI image layout, compressed or not. Every layer is checked against "
    "its digest before anything of it can be seen.",
    sections=(
        Section(
            "Options",
            Text("input", "i", "FILE", "Read FILE, not standard input"),
            Switch("quiet", "q", "Print nothing"),
        ),
    ),
    examples=(("onggi load -i guestbook.tar", "from a file"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Load the archive, and print what was in it."""
    with tarballs.read(given.text("input")) as file:
        loaded = invocation.engine.images.load(file)
    if not given.on("quiet"):
        for name in loaded:
            kind = "Loaded image ID" if name.startswith("sha256:") else "Loaded image"
            print(f"{kind}: {name}")
    return 0
