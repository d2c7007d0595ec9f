"""`onggi build`."""

from __future__ import annotations

import contextlib
import sys

from onggi.build.errors import BuildError
from onggi.build.options import BuildOptions, Context, Secret, parse_host
from onggi.build.output import Output
from onggi.build.progress import make_renderer
from onggi.cli import pairs, tarballs
from onggi.cli.careful import beneath
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
            Texts("add-host", "", "NAME:ADDRESS", "Let RUN steps know one more host"),
            Texts("annotation", "", "NAME=VALUE", "Attach an annotation to the image's manifest"),
            Texts("build-arg", "", "NAME[=VALUE]", "Set an ARG; a NAME alone is copied from here"),
            Texts("build-context", "", "NAME=DIR", "Let COPY --from=NAME take files of DIR"),
            Text("file", "f", "FILE", "The Dockerfile; PATH/Dockerfile when not given"),
            Text("iidfile", "", "FILE", "Write the image's ID to a file"),
            Texts("label", "", "NAME[=VALUE]", "Attach a label to the image"),
            Text("metadata-file", "", "FILE", "Write what was built to a file, as JSON"),
            Text("network", "", "MODE", 'Network of RUN steps: "default", "host" or "none"'),
            Switch("no-cache", "", "Run every step anew"),
            Texts("no-cache-filter", "", "STAGE,...", "Run every step of these stages anew"),
            Texts(
                "output",
                "o",
                "DESTINATION",
                "Put it elsewhere: DIR, - (a tar), or type=local|tar|oci|docker, with dest=PATH",
            ),
            Text("platform", "", "OS/ARCH", "Refuse to build for another machine than this"),
            Text("progress", "", "STYLE", "Show it as auto, plain, tty, quiet or rawjson", "auto"),
            Switch("quiet", "q", "Print the image's ID and nothing else"),
            Texts("secret", "", "id=NAME,src=FILE", "Lend a file or env=VARIABLE to RUN steps"),
            Texts("tag", "t", "NAME[:TAG]", "Name the image"),
            Text("target", "", "STAGE", "Stop after this stage"),
        ),
        Section(
            "What each RUN step may use",
            Text("cpu-period", "", "MICROSECONDS", "The period that --cpu-quota is for"),
            Text("cpu-quota", "", "MICROSECONDS", "Processor time in each period"),
            Text("cpu-shares", "c", "WEIGHT", "Its share when processors are short"),
            Text("cpuset-cpus", "", "LIST", "Run on these processors only, as in 0-3 or 0,2"),
            Text("cpuset-mems", "", "LIST", "Use memory of these NUMA nodes only"),
            Text("memory", "m", "BYTES", "Most memory; beyond it the kernel kills (512m, 2g)"),
            Text("memory-swap", "", "BYTES", "Most memory and swap together"),
            Text("shm-size", "", "BYTES", "Size of /dev/shm, 64m when not given"),
            Texts("ulimit", "", "NAME=SOFT[:HARD]", "Set a resource limit, as in nofile=1024"),
        ),
    ),
    docker="build",
    examples=(
        ("onggi build -t guestbook examples/guestbook", "build and name"),
        (
            "onggi build --secret id=ca,src=/etc/ssl/certs/ca.crt .",
            "lend a file to RUN --mount=type=secret, and leave it in no layer",
        ),
    ),
)


# Options whose values go to the engine as they were written, under the same names.
LIMITS = tuple(option.name for option in COMMAND.sections[1].options)


def execute(given: Given, invocation: Invocation) -> int:
    """Build the image, and print or write its ID."""
    style = "quiet" if given.on("quiet") else given.text("progress") or "auto"
    with contextlib.ExitStack() as files:
        options = build_options(given)
        for output in options.outputs:
            if output.is_archive:
                output.file = files.enter_context(tarballs.written(output.path or None))
        identity = _build(options, make_renderer(style, beneath(sys.stderr)), invocation)
    for option, text in (("iidfile", identity), ("metadata-file", "")):
        if path := given.text(option):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text or _metadata(invocation, identity, options))
    if style == "quiet" and not any(each.is_archive and not each.path for each in options.outputs):
        print(identity)
    return 0


def _metadata(invocation: Invocation, identity: str, options: BuildOptions) -> str:
    """Say what was built, with Docker's keys; of the manifest only if the store has it."""
    import json

    known: dict[str, object] = {"containerimage.config.digest": identity}
    if not options.outputs or any(output.is_stored for output in options.outputs):
        image = invocation.engine.images.get(identity).inspect()
        known["containerimage.descriptor"] = image["Descriptor"]
        known["containerimage.digest"] = image["Descriptor"]["digest"]
        known["image.name"] = ",".join(options.tags)
    return f"{json.dumps(known, indent=2)}\n"


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
        stdin=sys.stdin.buffer,
        outputs=[Output.parse(raw) for raw in given.texts("output")],
        no_cache_stages=[
            name for raw in given.texts("no-cache-filter") for name in raw.split(",") if name
        ],
        annotations=pairs.manifest_annotations(given.texts("annotation")),
        hosts=[parse_host(raw) for raw in given.texts("add-host")],
        limits=_limits(given),
        contexts=dict(map(Context.parse, given.texts("build-context"))),
    )


def _limits(given: Given) -> dict[str, object]:
    wanted = {name: given.words.get(name) or given.lists.get(name) for name in LIMITS}
    return {name: value for name, value in wanted.items() if value}
