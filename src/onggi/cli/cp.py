"""`onggi cp`."""

from __future__ import annotations

import sys

from onggi.cli import tarballs
from onggi.cli.options import Command, Section, Switch, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given
    from onggi.engine.containers import Container

COMMAND = Command(
    arguments="CONTAINER:SOURCE TARGET|-\nSOURCE|- CONTAINER:TARGET",
    least=2,
    most=2,
    description="Copies a file or a directory out of a container, or into one, whether it runs or "
    "not: with volumes and what it has in memory, but for what the kernel shows in /proc, /sys and "
    "the like.\n\n"
    "As with cp -r, a directory goes into a TARGET that is one, and becomes TARGET where there is "
    "none; what a SOURCE/. holds goes into TARGET itself. Directories that are there stay what "
    "they are, files are replaced. Everything belongs to root inside, and outside to who copies. "
    "With - a tar archive is read from standard input, or written to standard output.\n\n"
    "A SOURCE or TARGET with a colon in its name is told from a container's by its path: "
    "./a:b.",
    sections=(
        Section(
            "Options",
            Switch("archive", "a", "Keep all owners, by number"),
            Switch("follow-link", "L", "Copy what SOURCE leads to, if it is a link"),
            Switch("quiet", "q", "Do not say how much was copied"),
        ),
    ),
    examples=(
        ("onggi cp web:/var/log/app.log .", "a file, to here"),
        ("onggi cp settings/. web:/etc/app", "what a directory holds, into another one"),
        ("onggi cp web:/srv - | tar -t", "list a directory"),
    ),
)
STREAM = "-"


class BadEnds(UsageError):
    """Not just one of both ends is a container's."""

    exit_code = 1


class End:
    """One end of the copying: a path in a container, or of this host."""

    __slots__ = ("container", "path")

    def __init__(self, text: str) -> None:
        name, colon, path = text.partition(":")
        # As Docker tells them apart: who means a file with a colon says ./a:b or /a:b.
        inside = bool(colon) and not name.startswith((".", "/"))
        self.container = name if inside else ""
        self.path = path if inside else text
        if not self.path or (inside and not name):
            raise BadEnds(f"{text!r} names no path", hint="as in web:/etc/hosts")


def execute(given: Given, invocation: Invocation) -> int:
    """Copy from the first to the second."""
    source, target = map(End, given.arguments)
    if bool(source.container) == bool(target.container):
        what = "copying between containers" if source.container else "copying without a container"
        raise BadEnds(
            f"{what} is not supported", hint="one of both is CONTAINER:PATH, the other a path here"
        )
    container = invocation.engine.containers.get(source.container or target.container)
    copied = (_copy_out if source.container else _copy_in)(container, source, target, given)
    if copied and not given.on("quiet"):
        from onggi.cli.output.human import size

        shown = f"{target.container}:{target.path}" if target.container else target.path
        print(f"Successfully copied {size(copied)} to {shown}", file=sys.stderr)
    return 0


def _copy_out(container: Container, source: End, target: End, given: Given) -> int:
    follow = given.on("follow-link")
    if target.path != STREAM:
        return container.copy_out(
            source.path, target.path, follow=follow, archive=given.on("archive")
        )
    pieces, _ = container.get_archive(source.path, follow=follow)
    with tarballs.written(None) as file:
        file.writelines(pieces)
    return 0


def _copy_in(container: Container, source: End, target: End, given: Given) -> int:
    if source.path != STREAM:
        return container.copy_in(
            source.path,
            target.path,
            follow=given.on("follow-link"),
            archive=given.on("archive"),
        )
    with tarballs.read(None) as file:
        container.put_archive(target.path, file)
    return 0
