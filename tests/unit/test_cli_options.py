"""The parser beside Docker's: what it takes, what it refuses and in which words."""

import pytest

from onggi.cli.options import (
    ArityError,
    Command,
    Given,
    Option,
    Section,
    Switch,
    Text,
    Texts,
    UsageError,
    Whole,
)
from onggi.cli.parsing import parse
from onggi.cli.table import COMMANDS

OPTIONS = Section(
    "Options",
    Switch("interactive", "i", "Pass input on"),
    Switch("tty", "t", "Give a terminal"),
    Switch("detach", "d", "In the background"),
    Switch("sig-proxy", "", "Pass signals on", on=True),
    Texts("env", "e", "NAME=VALUE", "Set a variable"),
    Text("name", "", "NAME", "Name it"),
    Text("hostname", "h", "NAME", "Its host name"),
    Text("memory", "m", "BYTES", "Limit it"),
    Whole("timeout", "T", "SECONDS", "Wait", "10"),
)
RUN = Command(
    description="", arguments="IMAGE", least=1, most=None, sections=(OPTIONS,), interspersed=False
)
LIST = Command(description="", arguments="[NAME...]", most=None, sections=(OPTIONS,))


def run(*words: str) -> Given:
    return parse(RUN, "onggi run", words)


def refusal(*words: str, command: Command = RUN) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(command, "onggi run", words)
    return caught.value


def test_bundled_switches() -> None:
    given = run("-dit", "image")
    assert (given.on("detach"), given.on("interactive"), given.on("tty")) == (True, True, True)


@pytest.mark.parametrize(
    "words",
    [
        ("-e", "A=b"),
        ("-eA=b",),
        ("-e=A=b",),
        ("-ieA=b",),
        ("-ie", "A=b"),
        ("--env", "A=b"),
        ("--env=A=b",),
    ],
)
def test_every_way_to_write_a_value(words: tuple[str, ...]) -> None:
    given = run(*words, "image")
    assert given.texts("env") == ["A=b"]
    assert given.arguments == ["image"]


@pytest.mark.parametrize(
    ("word", "on"),
    [("--tty", True), ("--tty=false", False), ("--tty=0", False), ("-t=F", False), ("-t=1", True)],
)
def test_switches_with_a_value(word: str, on: bool) -> None:
    assert run(word, "image").on("tty") is on


def test_a_bundle_may_end_with_a_switch_turned_off() -> None:
    given = run("-it=false", "image")
    assert (given.on("interactive"), given.on("tty")) == (True, False)


def test_a_switch_does_not_take_the_next_word() -> None:
    assert run("--tty", "false").arguments == ["false"]


def test_defaults() -> None:
    given = run("image")
    assert given.on("sig-proxy") is True
    assert given.on("tty") is False
    assert given.text("name") is None
    assert given.texts("env") == []
    assert given.number("timeout") == 10


def test_the_last_of_one_kind_counts_and_lists_grow() -> None:
    given = run("--name", "a", "-e", "A=1", "--name=b", "-e", "B=2", "image")
    assert given.text("name") == "b"
    assert given.texts("env") == ["A=1", "B=2"]


def test_an_empty_value_is_a_value() -> None:
    assert run("--name=", "image").text("name") == ""
    assert run("--name", "", "image").text("name") == ""


def test_run_leaves_options_behind_the_image_to_the_program() -> None:
    given = run("-i", "image", "ls", "-l", "--help", "--", "x")
    assert given.arguments == ["image", "ls", "-l", "--help", "--", "x"]
    assert given.on("help") is False


def test_other_commands_take_options_anywhere() -> None:
    given = parse(LIST, "onggi rm", ["a", "-i", "b", "--name", "c"])
    assert (given.arguments, given.on("interactive"), given.text("name")) == (["a", "b"], True, "c")


def test_two_dashes_end_the_options() -> None:
    assert parse(LIST, "onggi rm", ["-i", "--", "-t", "a"]).arguments == ["-t", "a"]


def test_one_dash_is_an_argument() -> None:
    assert run("-").arguments == ["-"]


def test_a_value_may_begin_with_a_dash() -> None:
    assert run("-m", "-1", "image").text("memory") == "-1"
    assert run("--name", "--tty", "image").text("name") == "--tty"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--foo", "x"], "unknown flag: --foo"),
        (["--nam", "x"], "unknown flag: --nam"),
        (["--=x"], "unknown flag: --"),
        (["-Z", "x"], "unknown shorthand flag: 'Z' in -Z"),
        (["-itZ", "x"], "unknown shorthand flag: 'Z' in -itZ"),
        (["--name"], "flag needs an argument: --name"),
        (["-t="], "unknown shorthand flag: '=' in -t="),
        (["-e"], "flag needs an argument: 'e' in -e"),
        (["-ie"], "flag needs an argument: 'e' in -ie"),
        (
            ["--tty=maybe", "x"],
            'invalid argument "maybe" for "-t, --tty" flag: it is a switch: true or false',
        ),
        (["-T", "x", "y"], 'invalid argument "x" for "-T, --timeout" flag: it is a whole number'),
        (["--timeout=", "y"], 'invalid argument "" for "-T, --timeout" flag: it is a whole number'),
    ],
)
def test_refusals(words: list[str], message: str) -> None:
    error = refusal(*words)
    assert error.message == message
    assert error.exit_code == 125


def test_a_mistyped_option_is_answered_with_the_nearest() -> None:
    assert refusal("--hostnme", "x").hint == "did you mean --hostname? see 'onggi run --help'"
    assert refusal("--qqqqq", "x").hint == "see 'onggi run --help'"


def test_help_needs_no_arguments() -> None:
    assert run("--help").on("help") is True


def test_h_is_help_unless_the_command_uses_it() -> None:
    assert run("-h", "box", "image").text("hostname") == "box"
    plain = Command(description="")
    assert parse(plain, "onggi info", ["-h"]).on("help") is True


@pytest.mark.parametrize(
    ("least", "most", "count", "wanted"),
    [
        (0, 0, 1, "accepts no arguments"),
        (1, None, 0, "requires at least 1 argument"),
        (2, None, 1, "requires at least 2 arguments"),
        (1, 1, 0, "requires 1 argument"),
        (2, 2, 3, "requires 2 arguments"),
        (0, 1, 2, "requires at most 1 argument"),
        (1, 2, 0, "requires at least 1 and at most 2 arguments"),
    ],
)
def test_numbers_of_arguments(least: int, most: int | None, count: int, wanted: str) -> None:
    command = Command(description="", arguments="NAME", least=least, most=most)
    with pytest.raises(ArityError) as caught:
        parse(command, "onggi x", ["a"] * count)
    assert caught.value.message == f"'onggi x' {wanted}"
    assert caught.value.hint == "usage: onggi x NAME"
    assert caught.value.exit_code == 1


def declared() -> list[tuple[str, Command, Option]]:
    from onggi.cli.main import load

    modules = {row.module: name for name, row in reversed(COMMANDS.items())}
    commands = [(name, load(name).COMMAND) for name in modules.values()]
    return [(name, command, option) for name, command in commands for option in command.options()]


DECLARED = declared()


def read(given: Given, option: Option) -> object:
    kinds = (given.switches, given.words, given.lists, given.numbers)
    (value,) = [kind[option.name] for kind in kinds if option.name in kind]
    return value


def sample(option: Option) -> tuple[str, object]:
    """A value that the option takes, and what it comes to."""
    if isinstance(option, Switch):
        return "true", True
    if isinstance(option, Whole):
        return "7", 7
    return "x=y", ["x=y"] if isinstance(option, Texts) else "x=y"


@pytest.mark.parametrize(
    ("name", "command", "option"), DECLARED, ids=[f"{n}--{o.name}" for n, _, o in DECLARED]
)
def test_every_option_of_every_command(name: str, command: Command, option: Option) -> None:
    free = Command(description="", most=None, sections=command.sections)
    raw, value = sample(option)
    spellings = [[f"--{option.name}={raw}"]]
    if option.takes_value:
        spellings.append([f"--{option.name}", raw])
        spellings += [[f"-{option.short}", raw], [f"-{option.short}{raw}"]] * bool(option.short)
        assert "needs an argument" in refusal(f"--{option.name}", command=free).message
    else:
        spellings += [[f"--{option.name}"]] + [[f"-{option.short}"]] * bool(option.short)
        assert "it is a switch" in refusal(f"--{option.name}=perhaps", command=free).message
    for words in spellings:
        assert read(parse(free, f"onggi {name}", words), option) == value
    if isinstance(option, Whole):
        assert "whole number" in refusal(f"--{option.name}=1.5", command=free).message


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_declares_an_option_twice(name: str) -> None:
    from onggi.cli.main import load

    options = load(name).COMMAND.options()
    longs = [option.name for option in options]
    shorts = [option.short for option in options if option.short]
    assert len(set(longs)) == len(longs)
    assert len(set(shorts)) == len(shorts)
