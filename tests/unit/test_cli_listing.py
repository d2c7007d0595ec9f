"""`--format` in its four forms."""

import pytest

from onggi.cli.output.listing import (
    Field,
    Listing,
    number_of,
    pairs_of,
    text_of,
    texts_of,
)
from onggi.cli.output.template import BadTemplate

LISTING = Listing(
    (
        Field("Name", "NAME", text_of("Name")),
        Field("ID", "THING ID", text_of("Id")),
        Field("Labels", "LABELS", lambda one: pairs_of(one, "Labels")),
    ),
    ("ID", "Name"),
)
THINGS: list[dict[str, object]] = [
    {"Name": "a", "Id": "1", "Labels": {"x": "y", "z": ""}},
    {"Name": "bö", "Id": "2"},
]


@pytest.mark.parametrize("style", [None, "", "table"])
def test_the_usual_columns(style: str | None) -> None:
    assert LISTING.lines(THINGS, style) == ["THING ID   NAME", "1          a", "2          bö"]


def test_other_columns() -> None:
    assert LISTING.lines(THINGS, None, ("Name",)) == ["NAME", "a", "bö"]


def test_json_is_one_object_a_line_in_the_order_of_names() -> None:
    assert LISTING.lines(THINGS, "json") == [
        '{"ID":"1","Labels":"x=y,z=","Name":"a"}',
        '{"ID":"2","Labels":"","Name":"bö"}',
    ]


def test_a_template() -> None:
    assert LISTING.lines(THINGS, r"{{.Name}}\t{{.ID}}") == ["a\t1", "bö\t2"]


def test_a_table_of_a_template() -> None:
    lines = LISTING.lines(THINGS, r"table {{.Name}}\t{{.ID}}")
    assert lines == ["NAME      THING ID", "a         1", "bö        2"]


def test_an_unknown_field_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadTemplate, match=r'no "Foo" in .Foo; there are ID, Labels, Name'):
        LISTING.lines(THINGS, "{{.Foo}}")


def test_reading_what_a_record_lacks() -> None:
    assert number_of({"a": None}, "a") == 0
    assert texts_of({"a": None}, "a") == []
    assert text_of("a")({"a": None}) == ""


def test_what_does_not_exist_is_refused_where_nothing_is_listed() -> None:
    with pytest.raises(BadTemplate, match='no "Colour"'):
        LISTING.lines([], "{{.Colour}}")
    assert LISTING.lines([], "{{.Name}}") == []


def test_one_label() -> None:
    fields = (Field("Name", "NAME", text_of("Name")),)
    listing = Listing(fields, ("Name",), labels="Labels")
    assert listing.lines(THINGS, '{{.Name}}:{{.Label "x"}}') == ["a:y", "bö:"]
    assert listing.lines(THINGS[:1], 'table {{.Label "x"}}') == ["x", "y"]
    assert listing.lines(THINGS[:1], "json") == ['{"Name":"a"}']
    for wrong in ('{{.Name "x"}}', '{{.Label "x" "y"}}'):
        with pytest.raises(BadTemplate, match="has arguments but cannot be called"):
            listing.lines(THINGS, wrong)
