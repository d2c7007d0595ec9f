"""The OCI runtime's command line and its reading of configurations, without a kernel."""

import json
import random
from pathlib import Path

import pytest

from onggi.errors import OnggiError
from onggi.runtime.command import bundle, output, schema
from onggi.runtime.command.launching import plan_on
from onggi.runtime.command.words import Command, Option, UsageError, Words, parse
from support.mutations import document, each_replaced, fullest, mutated, places, text
from support.plans import HOSTS, host

COMMAND = Command(
    "CONTAINER [SIGNAL]",
    1,
    2,
    Option("all", "", short="a"),
    Option("detach", "", short="d"),
    Option("bundle", "DIR", short="b"),
    Option("fds", "N"),
)
TAIL = Command("CONTAINER COMMAND", 1, None, Option("tty", "", short="t"), interspersed=False)


@pytest.mark.parametrize(
    "line", ["--bundle B -d c", "-bundle=B c --detach", "-b B -d=true c", "-db B c", "--b B -d c"]
)
def test_spellings_of_options(line: str) -> None:
    words = parse(COMMAND, line.split(), "run")
    assert words.arguments == ["c"]
    assert words.text("bundle") == "B"
    assert words.has("detach")
    assert not words.has("all")


def test_a_switch_turned_off() -> None:
    assert not parse(COMMAND, ["--all", "--all=false", "c"], "kill").has("all")


def test_what_follows_belongs_to_the_program() -> None:
    words = parse(TAIL, ["-t", "c", "ls", "-t", "--", "-l"], "exec")
    assert words.arguments == ["c", "ls", "-t", "--", "-l"]


def test_two_hyphens_end_the_options() -> None:
    assert parse(COMMAND, ["--", "-d"], "kill").arguments == ["-d"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--nope c", "not defined: -nope"),
        ("c --bundle", "needs an argument: -bundle"),
        ("--all=perhaps c", "invalid boolean value 'perhaps'"),
        ("", "requires a minimum of 1"),
        ("a b c", "requires a maximum of 2"),
    ],
)
def test_words_that_are_refused(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(COMMAND, line.split(), "kill")


@pytest.mark.parametrize("text", ["x", "", "1x", "--1", "9" * 30, "٣"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(UsageError):
        Words({"fds": [text]}, []).number("fds")


def test_json_in_lines() -> None:
    value = {"a": [1, {"b": []}], "c": {}, "d": "x\ny"}
    assert json.loads(output.indented(value)) == value
    assert output.indented(value) == json.dumps(value, indent=2)


def test_a_table_shows_what_a_terminal_would_obey() -> None:
    assert output.table([("A", "B"), ("x\x1b[2J", "y\nz")]) == "A          B\nx\\x1b[2J   y\\nz\n"


def require_answer(place: Path, written: str, kind: str) -> None:
    """Read a configuration and plan it for a host: it is planned, or refused in words."""
    (place / "config.json").write_text(written)
    try:
        config = bundle.read(str(place), "", lambda _warning: None)
        plan = plan_on(config, "jar", host(kind), f"{place}/cache")
    except OnggiError as error:
        said = [str(error)]
    else:
        said = [step.describe() for step in plan.steps()]
    assert all(said)


@pytest.mark.parametrize("seed", range(20))
def test_a_broken_configuration_is_refused_or_planned(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for _ in range(500):
        kind = chance.choice(list(HOSTS))
        config = chance.choice((document(tmp_path), fullest(tmp_path, kind)))
        require_answer(tmp_path, text(mutated(config, chance), chance), kind)


@pytest.mark.parametrize("kind", HOSTS)
def test_each_member_may_be_anything(kind: str, tmp_path: Path) -> None:
    """No member is left out: where it is no good, it is refused."""
    config = fullest(tmp_path, kind)
    tried = set()
    for path, changed in each_replaced(config):
        tried.add(path)
        require_answer(tmp_path, json.dumps(changed), kind)
    assert tried == set(places(config))
    assert len(tried) > 250


@pytest.mark.parametrize("kind", HOSTS)
def test_the_whole_ones_are_planned(kind: str, tmp_path: Path) -> None:
    for whole in (document(tmp_path), fullest(tmp_path, kind)):
        (tmp_path / "config.json").write_text(json.dumps(whole))
        config = bundle.read(str(tmp_path), "", lambda warning: pytest.fail(warning))
        assert plan_on(config, "jar", host(kind), f"{tmp_path}/cache").steps()


def test_null_is_absent() -> None:
    value = {"args": None, "cwd": "/", "user": {"uid": None}}
    assert schema.conform(value, schema.PROCESS, "process") == {"cwd": "/", "user": {}}


def test_a_refusal_names_the_member() -> None:
    with pytest.raises(OnggiError, match=r"^process\.env\[1\] is not text"):
        schema.conform({"cwd": "/", "env": ["A=b", 5]}, schema.PROCESS, "process")


@pytest.mark.parametrize("word", ["-?", "--usage", "-h", "--help"])
def test_help_by_runcs_words_and_cruns(word: str) -> None:
    assert parse(COMMAND, [word], "kill").has("help")


def test_the_version_by_cruns_letter() -> None:
    versioned = Command("", 0, None, Option("version", "", short="v"))
    assert parse(versioned, ["-V"], "").has("version")
    with pytest.raises(UsageError, match="not defined: -V"):
        parse(COMMAND, ["-V", "c"], "kill")


@pytest.mark.parametrize(("word", "meant"), [("--tty=no", False), ("--tty=yes", True)])
def test_a_switch_in_cruns_words(word: str, meant: bool) -> None:
    assert parse(TAIL, [word, "c", "ls"], "exec").has("tty") is meant
