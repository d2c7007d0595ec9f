"""The entry: find the command, let it work, and turn what happened into an exit code.

Exit codes are Docker's: 125 when the words are wrong or `run` could not make its container, 126
and 127 when the program could not be executed or found, 128+n for a signal, 1 for the rest.

Source: docs.docker.com/engine/containers/run, "Exit status".
"""

from __future__ import annotations

import os
import sys

from onggi.cli.careful import Careful
from onggi.cli.invocation import STDERR, STDOUT, Invocation, sentence, silence
from onggi.cli.options import Command, Given, Section, Switch, Text, UsageError, bad_value
from onggi.cli.parsing import parse
from onggi.cli.table import COMMANDS, MANAGEMENT, find
from onggi.errors import Internal, OnggiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Protocol

    class CommandModule(Protocol):
        """What every module that the table names holds."""

        COMMAND: Command

        def execute(self, given: Given, invocation: Invocation) -> int: ...


INTERRUPTED = 128 + 2
BROKEN_PIPE = 128 + 13

COMMAND = Command(
    arguments="COMMAND [ARG...]",
    most=None,
    interspersed=False,
    description="A complete container engine: package, isolate, guarantee.",
    sections=(
        Section(
            "Options before the command",
            Text(
                "root",
                "",
                "DIR",
                "Keep everything below DIR, not below /var/lib/onggi (root) "
                "or ~/.local/share/onggi",
            ),
            Switch("debug", "D", "Print a Python traceback with every error"),
            Switch("version", "v", "Print the version"),
        ),
    ),
)


def command() -> NoReturn:
    """Run the command line of this process, and end it with the code.

    At once: taking apart what was imported would cost 3 ms, and there is nothing left to do.
    """
    code = main()
    try:
        sys.stderr.flush()
    except OSError:
        pass  # nobody listens; the exit code has to do
    os._exit(code)


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code; what went wrong has been said."""
    words = sys.argv[1:] if argv is None else argv
    _fill_standard_streams()
    _speak_utf8()
    plain = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(Careful, plain)
    try:
        code = _run(words)
        return _finish(code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does; there is nobody to tell.
        silence(STDOUT)
        return BROKEN_PIPE
    finally:
        sys.stdout, sys.stderr = plain


def _fill_standard_streams() -> None:
    """Put /dev/null where the caller left a standard stream closed, as Go's runtime does.

    The next file to be opened would have its number, and get what is meant for the stream.
    """
    for number in (0, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(STDOUT, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(STDERR, "w", closefd=False)


def _speak_utf8() -> None:
    """Print file names as the bytes they are, whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        # A test or an embedding program may have put something simpler in its place.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def _finish(code: int) -> int:
    """Write out what is still held back; output that got lost is a failure."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(STDOUT)
        print(f"onggi: cannot write the output: {sentence(error)}", file=sys.stderr)
        return code or 1
    return code


def _nobody_reads() -> bool:
    """Tell a broken pipe of our output from one of the engine's."""
    from select import POLLERR, poll

    output = poll()
    output.register(STDOUT, 0)
    return any(events & POLLERR for _, events in output.poll(0))


def _run(words: list[str]) -> int:
    try:
        given = parse(COMMAND, "onggi", words)
    except UsageError as error:
        Invocation(root=None, debug=False).complain(error)
        return error.exit_code
    invocation = Invocation(root=given.text("root"), debug=given.on("debug"))
    if given.text("root") == "":
        # A variable that is not set, most likely; what it was to keep apart would meet the host's.
        invocation.complain(bad_value("--root", "", "it names no directory"))
        return UsageError.exit_code
    return _guarded(given, invocation)


def _guarded(given: Given, invocation: Invocation) -> int:
    """Do what was asked, and answer for every failure."""
    name = find(given.arguments)
    failure = 1
    try:
        if given.on("version"):
            from onggi.version import VERSION

            print(f"Onggi version {VERSION}")
            return 0
        if given.on("help") or name is None:
            return _explain_usage(given.arguments)
        invocation.spelled = f"onggi {name}"
        module = load(name)
        failure = module.COMMAND.failure
        with invocation:
            return _command(module, name, given.arguments, invocation)
    except OnggiError as error:
        invocation.complain(error)
        return _exit_code(error, failure)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            raise
        invocation.complain(error)
        return failure
    except Exception as error:  # noqa: BLE001  the edge: a bug is reported, not dumped on people
        _report_bug(error, invocation)
        return failure


def _command(module: CommandModule, name: str, words: list[str], invocation: Invocation) -> int:
    typed = words[len(name.split()) :]
    given = parse(module.COMMAND, invocation.spelled, [*COMMANDS[name].preset, *typed])
    if given.on("help"):
        from onggi.cli.help import command_help

        print(command_help(name, module.COMMAND))
        return 0
    return module.execute(given, invocation)


def load(name: str) -> CommandModule:
    """Import the module of the command spelled `name`."""
    path = f"onggi.cli.{COMMANDS[name].module}"
    __import__(path)
    module: CommandModule = sys.modules[path]
    return module


def _exit_code(error: OnggiError, failure: int) -> int:
    """The words' own refusals and 126/127 stand; else it is the command that decides."""
    if isinstance(error, UsageError) or error.exit_code > 125:
        return error.exit_code
    return failure


def _explain_usage(words: list[str]) -> int:
    """`onggi`, `onggi help [COMMAND]`, `onggi container`, or a command that does not exist."""
    from onggi.cli import help as texts

    asked = [word for word in words if word not in ("help", "--help", "-h")]
    name = find(asked)
    if name is not None:
        print(texts.command_help(name, load(name).COMMAND))
    elif not asked:
        print(texts.top_help(COMMAND))
    elif asked[0] in MANAGEMENT and len(asked) == 1:
        print(texts.management_help(asked[0]))
    else:
        raise texts.UnknownCommand(asked)
    return 0


def _report_bug(error: Exception, invocation: Invocation) -> None:
    hint = "" if invocation.debug else "--debug before the command shows where"
    bug = Internal(f"this is a bug of ours: {type(error).__name__}: {sentence(error)}", hint=hint)
    bug.__cause__ = error
    invocation.complain(bug)
