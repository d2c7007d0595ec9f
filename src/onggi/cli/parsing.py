"""Reading the words of a command line, as its command declares them.

Facts about Docker's command line that people's fingers rely on, and that this keeps:

- Short options bundle (`-dit`); the first that takes a value swallows the rest of the word, or
  what follows a `=`, or the next word (`-eK=V`, `-e=K=V`, `-e K=V`).
- A switch takes a value only behind `=` (`--rm=false`), in Go's spellings of true and false.
- Long options are never abbreviated. `--` ends the options; `-` alone is an argument.
- `run` and `exec` stop looking at the first argument, so that a program keeps its own options.
- A bad option ends with 125, a wrong number of arguments with 1.

The standard library's argparse abbreviates, cannot stop at the first argument, and costs 12 ms
at every start: longer than everything `onggi ps` does.

Source: github.com/spf13/pflag, flag.go (parseLongArg, parseSingleShortArg).
"""

from __future__ import annotations

from onggi.cli.options import HELP, ArityError, Given, UsageError, bad_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from onggi.cli.options import Command, Option


def parse(command: Command, spelled: str, words: Iterable[str]) -> Given:
    """Return what `words` give to `command`, spelled as `spelled` by whoever typed it.

    With `--help` among them the number of arguments is not checked.

    Raises: UsageError: an unknown option, a value missing or malformed.
        ArityError: too few or too many arguments.
    """
    reader = _Reader(command, spelled, words)
    reader.read()
    if not reader.given.on("help"):
        _check_arity(command, spelled, len(reader.given.arguments))
    return reader.given


class _Reader:
    """One pass over the words."""

    __slots__ = ("command", "given", "long", "rest", "short", "spelled")

    def __init__(self, command: Command, spelled: str, words: Iterable[str]) -> None:
        options = command.options()
        self.command = command
        self.given = Given(options)
        self.long = {option.name: option for option in options}
        self.short = {option.short: option for option in options if option.short}
        # `-h` is help wherever a command has no better use for it (`run -h` names the host).
        self.short.setdefault("h", HELP)
        self.rest = list(words)
        self.spelled = spelled

    def read(self) -> None:
        while self.rest:
            word = self.rest.pop(0)
            if word == "--":
                break
            if word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and word != "-":
                self._bundle(word[1:])
            else:
                self.given.arguments.append(word)
                if not self.command.interspersed:
                    break
        self.given.arguments += self.rest

    def _long(self, word: str) -> None:
        name, equals, value = word[2:].partition("=")
        option = self.long.get(name) or self._absent(name)
        if option is None:
            raise self._unknown(f"unknown flag: --{name}", name)
        if equals:
            self._accept(option, value)
        elif not option.takes_value:
            self._accept(option, "true")
        else:
            self._accept(option, self._next(f"flag needs an argument: --{name}"))

    def _bundle(self, letters: str) -> None:
        word = letters
        while letters:
            letter, letters = letters[0], letters[1:]
            option = self.short.get(letter) or self._absent(letter)
            if option is None:
                raise self._unknown(f"unknown shorthand flag: '{letter}' in -{word}")
            if len(letters) > 1 and letters[0] == "=":
                self._accept(option, letters[1:])
                return
            if option.takes_value:
                missing = f"flag needs an argument: '{letter}' in -{word}"
                self._accept(option, letters or self._next(missing))
                return
            self._accept(option, "true")

    def _absent(self, name: str) -> Option | None:
        """Return the option of Docker's that is called so, if it is known and not to be had."""
        if not self.command.docker:
            return None
        from onggi.cli.absent import find

        return find(self.command.docker, name)

    def _next(self, missing: str) -> str:
        if not self.rest:
            raise self._unknown(missing)
        return self.rest.pop(0)

    def _accept(self, option: Option, raw: str) -> None:
        try:
            option.accept(self.given, raw)
        except ValueError as why:
            raise bad_value(option.spelled, raw, str(why)) from None

    def _unknown(self, message: str, name: str = "") -> UsageError:
        near = nearest(name, self.long) if name else ""
        see = f"see '{self.spelled} --help'"
        return UsageError(message, hint=f"did you mean --{near}? {see}" if near else see)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what was probably meant, or "" when nothing known is close."""
    # Costs 20 ms of imports, and is reached only by a mistake.
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, 1)), "")


def _check_arity(command: Command, spelled: str, count: int) -> None:
    least, most = command.least, command.most
    if count >= least and (most is None or count <= most):
        return
    if most == 0:
        wanted = "accepts no arguments"
    elif most is None:
        wanted = f"requires at least {_arguments(least)}"
    elif least == most:
        wanted = f"requires {_arguments(least)}"
    elif least == 0:
        wanted = f"requires at most {_arguments(most)}"
    else:
        wanted = f"requires at least {least} and at most {_arguments(most)}"
    raise ArityError(f"'{spelled}' {wanted}", hint=f"usage: {command.usage(spelled)}")


def _arguments(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"
