"""The entry of `onggi-runtime`, the OCI runtime command: runc's command line, with crun's words.

    onggi-runtime [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]

It exits with 0, or with 1 after one line of why; `run` and `exec` exit as their program did.

Source: runc man/runc.8.md; crun crun.1.md; runtime-spec runtime.md, "Operations".
"""

from __future__ import annotations

import os
import sys

from onggi.errors import OnggiError
from onggi.runtime.command.journal import Journal
from onggi.runtime.command.runtime import NAME, Runtime
from onggi.runtime.command.table import COMMANDS
from onggi.runtime.command.words import Command, Option, UsageError, Words, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn, Protocol

    class CommandModule(Protocol):
        """What every module that the table names holds."""

        COMMAND: Command

        def execute(self, words: Words, runtime: Runtime, /) -> int: ...


GLOBAL = Command(
    "COMMAND [ARGUMENT...]",
    0,
    None,
    Option("root", "DIR", "Remember containers in DIR"),
    Option("log", "FILE", "Append messages to FILE, not to standard error"),
    Option("log-format", "FORMAT", "text (default) or json"),
    Option("log-level", "LEVEL", "debug, info (default), warning or error"),
    Option("debug", "", "The same as --log-level debug"),
    Option("systemd-cgroup", "", "Have systemd make the control groups"),
    Option("cgroup-manager", "NAME", "cgroupfs (default), systemd or disabled"),
    Option("rootless", "WHEN", "true, false or auto: accepted, found out here"),
    Option("criu", "PATH", "The criu that makes checkpoints (default: by $PATH)"),
    Option("version", "", "Print the version", short="v"),
    interspersed=False,
)
_EXAMPLE = """
A bundle is a directory with a configuration, config.json, and a file tree:
  mkdir -p jar/rootfs && cd jar     fill rootfs with a file tree that has a shell
  onggi-runtime spec                write config.json; read and change it
  onggi-runtime run try             run what it says, in a container named try
"onggi-runtime COMMAND --help" tells what each command takes.
"""


def command() -> NoReturn:
    """Run the command line of this process, and end it with the code, at once."""
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1
    os._exit(code)


def main(argv: Sequence[str]) -> int:
    """Run one command line; return its exit code. What went wrong has been said."""
    _fill_standard_streams()
    journal = Journal()
    name = ""
    try:
        words = parse(GLOBAL, argv, NAME)
        _set_up(journal, words)
        if words.has("version") or words.has("help") or not words.arguments:
            return _tell(words)
        name = words.arguments[0]
        return _run(name, words, journal)
    except UsageError as error:
        journal.error(f"{NAME}: {error}")
    except OnggiError as error:
        journal.error(_said(name, str(error)))
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        journal.error(_said(name, reason))
    return 1


def _said(name: str, reason: str) -> str:
    """Begin a message as runc does, where engines look for it."""
    return f"{NAME} {name} failed: {reason}" if name in ("create", "run") else reason


def _set_up(journal: Journal, words: Words) -> None:
    level = "debug" if words.has("debug") else words.text("log-level", "info")
    journal.choose(words.text("log-format", "text"), level)
    if words.has("log"):
        journal.open(words.text("log").removeprefix("file:"))
    manager = words.text("cgroup-manager", "cgroupfs")
    if manager not in ("cgroupfs", "systemd", "disabled"):
        raise UsageError(f"invalid cgroup manager {manager!r}")


def _run(name: str, words: Words, journal: Journal) -> int:
    if name not in COMMANDS:
        raise UsageError(f"no such command: {name!r}", hint=f"{NAME} --help lists them")
    module = _load(COMMANDS[name][0])
    given = parse(module.COMMAND, words.arguments[1:], name)
    if given.has("help"):
        _print_help(f"{NAME} {name}", COMMANDS[name][1], module.COMMAND)
        return 0
    return module.execute(given, _runtime(words, journal))


def _runtime(words: Words, journal: Journal) -> Runtime:
    return Runtime(
        root=words.text("root"),
        journal=journal,
        groups=words.text("cgroup-manager") != "disabled",
        criu=words.text("criu") or "criu",
        systemd=words.has("systemd-cgroup") or words.text("cgroup-manager") == "systemd",
    )


def _load(name: str) -> CommandModule:
    module: CommandModule = __import__(f"{__package__}.{name}", fromlist=["execute"])
    return module


def _tell(words: Words) -> int:
    if words.has("version"):
        from onggi.runtime.spec import OCI_VERSION
        from onggi.version import VERSION

        sys.stdout.write(f"{NAME} version {VERSION}\nspec: {OCI_VERSION}\n")
        return 0
    _print_help(NAME, "Run containers from OCI bundles", GLOBAL)
    sys.stdout.write("\nCommands:\n")
    for name, (_, what) in COMMANDS.items():
        sys.stdout.write(f"  {name:12}{what}\n")
    sys.stdout.write(_EXAMPLE)
    return 0


def _print_help(name: str, what: str, command: Command) -> None:
    sys.stdout.write(f"Usage: {name} [OPTIONS] {command.arguments}\n\n{what}.\n\nOptions:\n")
    width = max(len(option.spelled()) for option in command.options) + 2
    for option in command.options:
        sys.stdout.write(f"  {option.spelled():{width}}{option.help}\n")


def _fill_standard_streams() -> None:
    """Put /dev/null where the caller left a standard stream closed.

    The next file to be opened would have its number, and the program would get it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
