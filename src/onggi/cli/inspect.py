"""`onggi inspect`, and `inspect` below `container`, `image` and `volume`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from onggi.cli.options import Command, Given, Section, Switch, Text
from onggi.cli.output.template import Template, to_json
from onggi.errors import InvalidInput, NotFound
from onggi.linux.control_characters import in_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi import Engine
    from onggi.cli.invocation import Invocation

    Document = dict[str, object]

COMMAND = Command(
    arguments="NAME|ID [NAME|ID...]",
    least=1,
    most=None,
    description="Prints everything known of containers, images and volumes, as JSON in the shape "
    "of Docker's API. Of several objects with one name, the container comes before the image and "
    "the image before the volume.",
    sections=(
        Section(
            "Options",
            Text("format", "f", "FORMAT", 'Print as "json" in one line, or a template'),
            Switch("size", "s", "Tell how much a container wrote: SizeRw and SizeRootFs"),
            Text("type", "", "TYPE", 'Look only for a "container", an "image" or a "volume"'),
        ),
    ),
    examples=(
        ("onggi inspect -f '{{.State.Pid}}' web", "one value"),
        ("onggi inspect -f '{{json .Config.Env}}' guestbook", "a part of it, as JSON"),
    ),
)

Find = Callable[["Engine", str, bool], "Document"]

KINDS: dict[str, Find] = {
    "container": lambda engine, name, size: engine.containers.get(name).inspect(size=size),
    "image": lambda engine, name, _size: engine.images.get(name).inspect(),
    "volume": lambda engine, name, _size: engine.volumes.get(name).inspect(),
}


class NoSuchObject(NotFound):
    """Nothing of any kind has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no such object: {name}", hint="`onggi ps -a` and `onggi images` list them"
        )
        self.name = name


def execute(given: Given, invocation: Invocation) -> int:
    """Print the documents of all that was found; complain of the rest."""
    kinds = _kinds(given.text("type"))
    style = given.text("format") or ""
    template = Template(style) if style not in ("", "json") else None
    size = given.on("size")
    documents: list[Document] = []
    code = invocation.each(
        given.arguments, lambda name: documents.append(_find(invocation.engine, kinds, name, size))
    )
    for line in _lines(documents, style, template):
        print(line)
    return code


def _kinds(wanted: str | None) -> list[Find]:
    if not wanted:
        return list(KINDS.values())
    if wanted not in KINDS:
        raise InvalidInput(f'unknown type: "{wanted}"', hint=f"there are {', '.join(KINDS)}")
    return [KINDS[wanted]]


def _find(engine: Engine, kinds: list[Find], name: str, size: bool) -> Document:
    for find in kinds:
        try:
            return find(engine, name, size)
        except NotFound:
            if len(kinds) == 1:
                raise
    raise NoSuchObject(name)


def _lines(documents: list[Document], style: str, template: Template | None) -> Iterator[str]:
    if template is not None:
        yield from map(template.render, documents)
    elif style == "json":
        yield to_json(documents)
    else:
        yield in_json(json.dumps(documents, ensure_ascii=False, indent=4))
