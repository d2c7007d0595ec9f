"""Splitting Dockerfiles into statements: golden folders, places, refusals, anything at all."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onggi.build.errors import DockerfileError
from onggi.build.lexer import Syntax, parse
from onggi.build.source import Range, Source

GOLDEN = Path(__file__).with_name("build_golden")
CASES = sorted(path.name for path in GOLDEN.iterdir())


def parse_text(text: str) -> Syntax:
    return parse(Source("Dockerfile", text))


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    text = (GOLDEN / case / "Dockerfile").read_bytes().decode()
    try:
        shown = parse_text(text).dump()
    except DockerfileError as error:
        shown = f"error: {error}\n{error.excerpt}\n"
    assert shown == (GOLDEN / case / "result").read_text()


def test_a_statement_knows_its_lines() -> None:
    syntax = parse_text("\nFROM a\n\n# about run\n# more\nRUN b \\\n  c\nCOPY <<E /f\nx\nE\n")
    places = [(statement.range, statement.comments) for statement in syntax.statements]
    assert places == [
        (Range(2, 2), []),
        (Range(6, 7), ["about run", "more"]),
        (Range(8, 10), []),
    ]


def test_blank_lines_inside_a_statement_are_warned_of() -> None:
    assert parse_text("FROM a\nRUN b \\\n\n  c\n").warnings == [
        "Empty continuation line found in: RUN b   c"
    ]


def test_carriage_returns_end_lines_but_stay_in_documents() -> None:
    syntax = parse_text("FROM a\r\nRUN b \\\r\n c\r\nCOPY <<E /f\r\nx\r\nE\r\n")
    assert syntax.statements[1].arguments == ["b  c"]
    assert syntax.statements[2].heredocs[0].text == "x\r\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file with no instructions"),
        ("# only a comment\n", "file with no instructions"),
        ("# escape=x\nFROM a\n", "line 1: invalid escape token 'x'"),
        ("# escape=`\n# escape=`\nFROM a\n", "line 2: only one escape parser directive"),
        ("FROM a\nCOPY <<EOF /f\nx\n", "line 2: unterminated heredoc"),
        ("FROM a\nENV a\n", "line 2: ENV must have two arguments"),
        ("FROM a\nLABEL a=b c\n", 'line 2: Syntax error - can\'t find = in "c"'),
        ('FROM a\nRUN ["a", 1]\n', "line 2: when using JSON array syntax"),
        ("FROM a\nRUN " + "x" * 70_000 + "\n", "line 2: dockerfile line greater than max"),
    ],
)
def test_refusals_name_the_line(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_text(text)
    assert message in str(caught.value)


def test_an_error_shows_the_lines() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_text("FROM a\nRUN b\nENV a\nRUN c\n")
    assert caught.value.excerpt == (
        "Dockerfile:3\n--------------------\n"
        "   1 |     FROM a\n   2 |     RUN b\n   3 | >>> ENV a\n   4 |     RUN c\n   5 |     \n"
        "--------------------"
    )


@given(st.text(alphabet="\n\t \\`\"'<>-=#$@{}[]aEOFRUN,:", max_size=200))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_in_is_read_or_refused(text: str) -> None:
    try:
        syntax = parse_text(f"FROM a\n{text}")
    except DockerfileError:
        return
    assert syntax.statements[0].keyword == "FROM"
    assert syntax.dump()
