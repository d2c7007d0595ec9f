"""The table of commands, and the help that is written from it."""

import pytest

from onggi.cli import help as texts
from onggi.cli.main import COMMAND, load
from onggi.cli.table import COMMANDS, MANAGEMENT, ROWS, TOP_LEVEL, find, listed, managed

# What people who know Docker will type, of what there is so far.
DOCKERS = """
    run exec ps logs stop kill rm wait inspect stats diff export commit
    images rmi tag history import save load build info version
"""
MANAGED = {
    "container": "run exec ls list ps logs stop kill rm remove wait inspect stats diff commit",
    "image": "ls list rm remove tag history import save load build inspect prune",
    "builder": "build prune",
    "buildx": "build",
    "volume": "create ls list inspect rm remove",
    "system": "info",
}


@pytest.mark.parametrize("name", DOCKERS.split())
def test_dockers_commands_are_there(name: str) -> None:
    assert name in COMMANDS


@pytest.mark.parametrize("first", MANAGED)
def test_dockers_management_commands_are_there(first: str) -> None:
    assert {f"{first} {second}" for second in MANAGED[first].split()} <= set(COMMANDS)


def test_no_spelling_means_two_commands() -> None:
    spellings = [spelling for row in ROWS for spelling in row.spellings]
    assert len(spellings) == len(set(spellings)) == len(COMMANDS)


def test_every_command_is_listed_somewhere() -> None:
    at_the_top = [name for group in TOP_LEVEL for name, _ in listed(group)]
    below = [f"{first} {second}" for first in MANAGEMENT for second, _ in managed(first)]
    shown = {COMMANDS[name] for name in at_the_top + below}
    assert shown == set(ROWS)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["ps", "-a"], "ps"),
        (["container", "ls", "-a"], "container ls"),
        (["rm", "ls"], "rm"),
        (["container"], None),
        (["container", "frob"], None),
        ([], None),
    ],
)
def test_find(words: list[str], name: str | None) -> None:
    assert find(words) == name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name: str) -> None:
    command = load(name).COMMAND
    text = texts.command_help(name, command)
    assert text.startswith(f"Usage:  onggi {name}")
    assert COMMANDS[name].summary in text
    # An example may be longer: it is copied, and must not be broken.
    assert all(
        len(line) <= texts.WIDTH or line.startswith("  onggi ") for line in text.splitlines()
    )
    assert all(option.meaning for option in command.options())
    for section in command.sections:
        # Options without a heading are those of another command, which is named.
        listed = [f"--{option.name}" in text for option in section.options]
        assert all(listed) if section.heading else "All options of `onggi run`" in one_line(text)


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", [row.spellings[0] for row in ROWS])
def test_a_command_teaches(name: str) -> None:
    command = load(name).COMMAND
    assert len(command.description) > 60
    assert command.description.endswith(".")


def test_help_at_the_top() -> None:
    text = texts.top_help(COMMAND)
    assert max(map(len, text.splitlines())) <= texts.WIDTH
    assert "  run         Create and run a new container from an image\n" in text
    assert "  volume      Manage volumes\n" in text


def test_help_of_a_management_word() -> None:
    lines = texts.management_help("volume").splitlines()
    assert lines[0] == "Usage:  onggi volume COMMAND"
    assert "  ls          List volumes" in lines


IMAGE_HINT = "did you mean 'onggi image list'? see 'onggi image --help'"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sotp"], "unknown command: onggi sotp (did you mean 'onggi stop'? see 'onggi --help')"),
        (["zzz"], "unknown command: onggi zzz (see 'onggi --help')"),
        (["pus", "x"], "unknown command: onggi pus (did you mean 'onggi ps'? see 'onggi --help')"),
        (["image", "lst"], f"unknown command: onggi image lst ({IMAGE_HINT})"),
    ],
)
def test_an_unknown_command(words: list[str], message: str) -> None:
    error = texts.UnknownCommand(words)
    assert str(error) == message
    assert error.exit_code == 1
