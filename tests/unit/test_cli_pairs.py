"""`KEY=VALUE` wherever the command line takes it."""

from pathlib import Path

import pytest

from onggi.cli import pairs
from onggi.cli.options import Command, Given, Section, Texts, UsageError
from onggi.cli.parsing import parse

COMMAND = Command(
    description="",
    sections=(Section("", Texts("env", "e", "", ""), Texts("env-file", "", "", "")),),
)


def given(*words: str) -> Given:
    return parse(COMMAND, "onggi run", words)


def test_environment_of_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "from outside")
    monkeypatch.delenv("GONE", raising=False)
    words = given("-e", "A=1", "-e", "HERE", "-e", "GONE", "-e", "B=x=y", "-e", "C=")
    assert pairs.environment(words) == ["A=1", "HERE=from outside", "GONE", "B=x=y", "C="]


def test_environment_of_a_file_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "from outside")
    file = tmp_path / "env"
    file.write_text('\ufeff# a comment\n\n  A=1\nB="as it is" # too\nHERE\nC=x\\n\r\n', "utf-8")
    words = given("-e", "A=2", "--env-file", str(file))
    assert pairs.environment(words) == [
        "A=1",
        'B="as it is" # too',
        "HERE=from outside",
        "C=x\\n",
        "A=2",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"=x\n", "no variable name on line '=x'"),
        (b"A B=x\n", "variable 'A B' contains white space"),
        (b"A =x\n", "variable 'A ' contains white space"),
        (b"A=\xff\n", "is not UTF-8 text"),
    ],
)
def test_refused_files(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=why):
        pairs.environment(given("--env-file", str(file)))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="cannot read environment file /none: no such file"):
        pairs.environment(given("--env-file", "/none"))


@pytest.mark.parametrize("raw", ["", "=x"])
def test_refused_words(raw: str) -> None:
    with pytest.raises(UsageError, match="expected NAME=VALUE or NAME"):
        pairs.environment(given("-e", raw))


def test_labels() -> None:
    assert pairs.labels(["a=1", "b", "a=2", "c=x=y"]) == {"a": "2", "b": "", "c": "x=y"}
    with pytest.raises(UsageError, match='invalid argument "=x" for "-l, --label" flag'):
        pairs.labels(["=x"])


def test_filters() -> None:
    raws = ["status=exited", "STATUS = running", "label=a=b"]
    assert pairs.filters(raws) == {"status": ["exited", "running"], "label": ["a=b"]}
    with pytest.raises(UsageError, match="expected NAME=VALUE, as in status=running"):
        pairs.filters(["status"])


def test_build_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "from outside")
    monkeypatch.delenv("GONE", raising=False)
    assert pairs.build_arguments(["A=1", "HERE", "GONE"]) == {"A": "1", "HERE": "from outside"}
    with pytest.raises(UsageError, match="--build-arg"):
        pairs.build_arguments(["=x"])
