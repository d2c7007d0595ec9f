"""`onggi create`."""

from __future__ import annotations

from onggi.cli import run
from onggi.cli.cidfile import CidFile
from onggi.cli.options import Command, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

# What is about the moment of starting belongs to `start`.
_OF_STARTING = ("detach", "detach-keys", "sig-proxy", "explain")

COMMAND = Command(
    arguments="IMAGE [COMMAND] [ARG...]",
    least=1,
    most=None,
    interspersed=False,
    docker="run",
    description="Makes a container as `onggi run` does, and prints its ID; `onggi start` starts "
    "it. Everything is checked now: the image, the options, and what the host can do.",
    sections=(
        Section(
            run.PROCESS.heading,
            *(option for option in run.PROCESS.options if option.name not in _OF_STARTING),
        ),
        run.FILES,
        run.ISOLATION,
        run.RESOURCES,
    ),
    examples=(("onggi start -a $(onggi create busybox echo hello)", "make it, then run it"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Create the container, and print its ID."""
    options = run.container_options(given, detach=False)
    with CidFile(given.text("cidfile")) as cidfile:
        container = invocation.engine.containers.create(options)
        cidfile.write(container.id)
    run.warn(container)
    print(container.id)
    return 0
