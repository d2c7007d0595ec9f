"""Whatever crun can be told, by its own help, `onggi-runtime` takes as well."""

import importlib
import re
import subprocess

import pytest

from onggi.runtime.command import main
from onggi.runtime.command.table import COMMANDS
from onggi.runtime.command.words import Command, UsageError, parse
from support.requirements import requires

pytestmark = requires("crun")

CRUNS = (
    *("create", "delete", "exec", "kill", "list", "pause", "ps"),
    *("resume", "run", "spec", "start", "state", "update"),
)


def listed(*command: str) -> list[str]:
    """Return the options that crun's help lists, with a value where they take one."""
    line = ["crun", *command, "--help"]
    told = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    columns = re.findall(r"^ {2,6}(-.+?)(?: {2,}|$)", told, re.MULTILINE)
    words = [word for column in columns for word in column.split(", ")]
    assert "--help" in words
    return [re.sub(r"\[?=.*", "=true", word) for word in words]


def takes(command: Command, word: str) -> bool:
    """Tell whether the command has an option; what else it needs is not given here."""
    try:
        parse(command, [word], "")
    except UsageError as error:
        return "not defined" not in str(error)
    return True


def test_global_options() -> None:
    assert [word for word in listed() if not takes(main.GLOBAL, word)] == []


@pytest.mark.parametrize("name", CRUNS)
def test_options_of_a_command(name: str) -> None:
    module = importlib.import_module(f"onggi.runtime.command.{COMMANDS[name][0]}")
    assert [word for word in listed(name) if not takes(module.COMMAND, word)] == []
