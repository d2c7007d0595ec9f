"""`onggi build`."""

from __future__ import annotations

import sys

from onggi.build.errors import BuildError
from onggi.build.options import BuildOptions, Secret
from onggi.build.progress import make_renderer
from onggi.cli import pairs
from onggi.cli.options import Command, Given, Section, Switch, Text, Texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.progress import Renderer
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    arguments="PATH | -",
    least=1,
    most=1,
    description="Builds an image from a Dockerfile and the files beside it. Each step is a layer "
    "on those before it; a step whose inputs are the same as last time is taken from the cache, "
    "and the output says why one was not. With SOURCE_DATE_EPOCH in the environment the "
    "same inputs give the same image, to the digest. With `-`, standard input is the Dockerfile, "
    "or a context as a tar archive, compressed or not.",
    sections=(
        Section(
            "Options",
            Texts("build-arg", "", "NAME[=VALUE]", "Set an ARG; a NAME alone is copied from here"),
            Text("file", "f", "FILE", "The Dockerfile; PATH/Dockerfile when not given"),
            Text("iidfile", "", "FILE", "Write the image's ID to a file"),
            Texts("label", "", "NAME[=VALUE]", "Attach a label to the image"),
            Text("network", "", "MODE", 'Network of RUN steps: "default", "host" or "none"'),
            Switch("no-cache", "", "Run every step anew"),
            Text("platform", "", "OS/ARCH", "Refuse to build for another machine than this"),
            Text("progress", "", "STYLE", "Show it as auto, plain, tty, quiet or rawjson", "auto"),
            Switch("pull", "", "Look for newer base images"),
            Switch("quiet", "q", "Print the image's ID and nothing else"),
            Texts("secret", "", "id=NAME,src=FILE", "Lend a file or env=VARIABLE to RUN steps"),
            Texts("tag", "t", "NAME[:TAG]", "Name the image"),
            Text("target", "", "STAGE", "Stop after this stage"),
        ),
    ),
    examples=(
        ("onggi build -t guestbook examples/guestbook", "build and name"),
        (
            "onggi build --secret id=ca,src=/etc/ssl/certs/ca.crt .",
            "lend a file to RUN --mount=type=secret, and leave it in no layer",
        ),
    ),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Build the image, and print or write its ID."""
    options = build_options(given)
    style = "quiet" if given.on("quiet") else given.text("progress") or "auto"
    identity = _build(options, make_renderer(style, sys.stderr), invocation)
    path = given.text("iidfile")
    if path:
        with open(path, "w", encoding="ascii") as file:
            file.write(identity)
    if style == "quiet":
        print(identity)
    return 0


def _build(options: BuildOptions, progress: Renderer, invocation: Invocation) -> str:
    """Build, and show the lines of the Dockerfile that are to blame if it fails."""
    try:
        return invocation.engine.images.build(options, progress)
    except BuildError as error:
        progress.close()
        if error.excerpt:
            print(error.excerpt, file=sys.stderr)
        raise
    finally:
        progress.close()


def build_options(given: Given) -> BuildOptions:
    """Return what was asked for as the engine takes it."""
    context = given.arguments[0]
    dockerfile = given.text("file") or ""
    return BuildOptions(
        context=context,
        dockerfile=dockerfile,
        tags=given.texts("tag"),
        target=given.text("target") or "",
        build_args=pairs.build_arguments(given.texts("build-arg")),
        labels=pairs.labels(given.texts("label")),
        secrets=[Secret.parse(raw) for raw in given.texts("secret")],
        no_cache=given.on("no-cache"),
        network=given.text("network") or "default",
        platform=given.text("platform") or "",
        pull=given.on("pull"),
        stdin=sys.stdin.buffer,
    )
