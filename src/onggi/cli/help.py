"""`--help`, written from the same declarations that the parser reads."""

from __future__ import annotations

import textwrap

from onggi.cli.absent import instead_of
from onggi.cli.options import Command, Option, Section, Switch, UsageError
from onggi.cli.parsing import nearest
from onggi.cli.table import COMMANDS, MANAGEMENT, TOP_LEVEL, listed, managed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 80
# The widest left column; an option longer than this has its meaning on the next line.
WIDEST = 32


def command_help(name: str, command: Command) -> str:
    """Everything about one command, as it was spelled."""
    row = COMMANDS[name]
    parts = [f"Usage:  {command.usage(f'onggi {name}')}", row.summary]
    parts.append(_paragraphs(command.description))
    if len(row.spellings) > 1:
        spellings = ", ".join(f"onggi {spelling}" for spelling in row.spellings)
        parts.append(f"Aliases:\n  {spellings}")
    parts += _sections(command)
    if command.examples:
        parts.append("Examples:\n" + "\n".join(map(_example, command.examples)))
    return "\n\n".join(parts)


def top_help(command: Command) -> str:
    """What `onggi --help` says."""
    parts = [f"Usage:  {command.usage('onggi')}", _paragraphs(command.description)]
    parts += [_rows(heading, listed(heading)) for heading in TOP_LEVEL]
    parts.append(_rows("More", MANAGEMENT.items()))
    parts += _sections(command)
    parts.append("'onggi COMMAND --help' tells more about a command.")
    return "\n\n".join(parts)


def management_help(first: str) -> str:
    """What `onggi container` and its like say."""
    return "\n\n".join(
        (
            f"Usage:  onggi {first} COMMAND",
            MANAGEMENT[first],
            _rows("Commands", managed(first)),
            f"'onggi {first} COMMAND --help' tells more about a command.",
        )
    )


class UnknownCommand(UsageError):
    """The words name no command."""

    exit_code = 1

    def __init__(self, words: list[str]) -> None:
        managed = words[0] in MANAGEMENT
        typed = " ".join(words[:2]) if managed else words[0]
        known = [one for one in COMMANDS if not managed or one.startswith(f"{words[0]} ")]
        near = nearest(typed, known if managed else [*known, *MANAGEMENT])
        see = f"see 'onggi {words[0]} --help'" if managed else "see 'onggi --help'"
        hint = f"did you mean 'onggi {near}'? {see}" if near else see
        known_elsewhere = instead_of(words[1] if managed and len(words) > 1 else words[0])
        if known_elsewhere:
            super().__init__(f"onggi {typed} is not there yet", hint=known_elsewhere)
        else:
            super().__init__(f"unknown command: onggi {typed}", hint=hint)


def _paragraphs(text: str) -> str:
    return "\n\n".join(textwrap.fill(part, WIDTH) for part in text.split("\n\n"))


def _sections(command: Command) -> list[str]:
    """The options, in columns that line up over all sections that have a heading."""
    shown = [section for section in command.sections if section.heading]
    last = shown[-1] if shown else Section("Options")
    sections = [*shown[:-1], Section(last.heading, *last.options, _help_of(command))]
    left = max(len(_left(option)) for section in sections for option in section.options)
    column = min(left, WIDEST) + 3
    return [
        "\n".join([f"{section.heading}:"] + [_option(option, column) for option in section.options])
        for section in sections
    ]


def _help_of(command: Command) -> Option:
    return command.options()[-1]


def _left(option: Option) -> str:
    short = f"-{option.short}, " if option.short else "    "
    metavar = f" {option.metavar}" if option.metavar else ""
    return f"  {short}--{option.name}{metavar}"


def _option(option: Option, column: int) -> str:
    left = _left(option)
    lines = textwrap.wrap(_meaning(option), WIDTH - column)
    if len(left) > column - 2:
        return "\n".join([left] + [" " * column + line for line in lines])
    first = left.ljust(column) + lines[0]
    return "\n".join([first] + [" " * column + line for line in lines[1:]])


def _meaning(option: Option) -> str:
    if not option.default:
        return option.meaning
    default = option.default if isinstance(option, Switch) else f'"{option.default}"'
    return f"{option.meaning} (default {default})"


def _rows(heading: str, rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join([f"{heading}:"] + [f"  {name.ljust(12)}{summary}" for name, summary in rows])


def _example(example: tuple[str, str]) -> str:
    words, why = example
    return f"  # {why}\n  {words}"
