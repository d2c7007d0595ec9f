r"""Lists of objects: a table of the usual columns, or whatever `--format` asks for.

`--format` is `table`, `table TEMPLATE`, `json` or a template over the fields' names; a template's
`\t` and `\n` may be written as two characters, as shells make it hard to type them.

Source: docs.docker.com/engine/cli/formatting.
"""

from __future__ import annotations

from onggi.cli.options import Text
from onggi.cli.output.columns import aligned
from onggi.linux.control_characters import in_json, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from onggi.cli.output.template import Template

    Record = Mapping[str, object]
    Read = Callable[[Record], str]

FORMAT = Text("format", "", "FORMAT", 'Print as "json", a template, or "table TEMPLATE"')


class Field:
    """One thing that can be shown of each object: its name in templates, its column's header."""

    __slots__ = ("header", "name", "read")

    def __init__(self, name: str, header: str, read: Read) -> None:
        self.name = name
        self.header = header
        self.read = read


class Listing:
    """The fields that objects of one kind have, and those that a table shows by default.

    `labels` names the mapping of the record that `{{.Label "name"}}` looks in, "" if there is none.
    """

    __slots__ = ("fields", "labels", "shown")

    def __init__(self, fields: Sequence[Field], shown: Sequence[str], labels: str = "") -> None:
        self.fields = {field.name: field for field in fields}
        self.labels = labels
        self.shown = shown

    def lines(
        self, objects: Sequence[Record], style: str | None, shown: Sequence[str] | None = None
    ) -> list[str]:
        """Return the output, line by line; `style` is the value of `--format`.

        Raises: BadTemplate: the template does not parse, or asks for what is not there.
        """
        if not style or style == "table":
            return self._table(objects, shown or self.shown)
        if style == "json":
            return [_json(self._texts(one)) for one in objects]
        return self._templated(objects, style.replace("\\t", "\t").replace("\\n", "\n"))

    def _table(self, objects: Sequence[Record], shown: Sequence[str]) -> list[str]:
        fields = [self.fields[name] for name in shown]
        rows = [[field.header for field in fields]]
        rows += [[one_line(field.read(one)) for field in fields] for one in objects]
        return aligned(rows)

    def _templated(self, objects: Sequence[Record], style: str) -> list[str]:
        from onggi.cli.output.template import Template

        template = Template(style.removeprefix("table").lstrip() if _is_table(style) else style)
        if _is_table(style):
            return self._templated_table(objects, template)
        if not objects:
            template.render(self._headers())  # refuses what does not exist, though nothing is shown
        return [template.render(self._values(one)) for one in objects]

    def _templated_table(self, objects: Sequence[Record], template: Template) -> list[str]:
        header = template.render(self._headers())
        lines = [header, *(template.render(self._cells(one)) for one in objects)]
        return aligned([line.split("\t") for line in lines])

    def _headers(self) -> dict[str, object]:
        headers: dict[str, object] = {name: field.header for name, field in self.fields.items()}
        return headers | ({"Label": str} if self.labels else {})

    def _texts(self, one: Record) -> dict[str, str]:
        return {name: field.read(one) for name, field in self.fields.items()}

    def _cells(self, one: Record) -> dict[str, object]:
        """Return the values as they may stand in a table: each in one line, and without tabs."""
        cells: dict[str, object] = {name: one_line(text) for name, text in self._texts(one).items()}
        return cells | self._methods(one, one_line)

    def _values(self, one: Record) -> dict[str, object]:
        return {**self._texts(one), **self._methods(one, str)}

    def _methods(self, one: Record, shown: Callable[[str], str]) -> dict[str, object]:
        """Return what is called with an argument: Label, where there are labels."""
        if not self.labels:
            return {}
        labels = _mapping(one, self.labels)
        return {"Label": lambda name: shown(str(labels.get(name, "")))}


def _is_table(style: str) -> bool:
    return style.startswith("table") and style[5:6].isspace()


def _json(values: dict[str, str]) -> str:
    import json

    text = json.dumps(dict(sorted(values.items())), ensure_ascii=False, separators=(",", ":"))
    return in_json(text)


def text_of(name: str) -> Read:
    """Return a reader of one value of the record, as text."""
    return lambda record: str(record.get(name) or "")


def number_of(record: Record, name: str) -> float:
    """Return a number of the record, 0 when it has none."""
    value = record.get(name)
    return value if isinstance(value, int | float) else 0


def texts_of(record: Record, name: str) -> list[str]:
    """Return a list of texts of the record, empty when it has none."""
    value = record.get(name)
    return [str(item) for item in value] if isinstance(value, list) else []


def pairs_of(record: Record, name: str) -> str:
    """Return a mapping of the record as `key=value,key=value`."""
    return ",".join(f"{key}={item}" for key, item in _mapping(record, name).items())


def _mapping(record: Record, name: str) -> Mapping[str, object]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}
