"""What a command accepts, declared once: the parser, the refusals and `--help` all read it.

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

from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


class UsageError(InvalidInput):
    """The words of the command line do not fit the command; its exit code is final."""


class ArityError(UsageError):
    """Too few or too many arguments."""

    exit_code = 1


class Option:
    """One option; the subclass says what its value is and where `Given` keeps it."""

    __slots__ = ("default", "meaning", "metavar", "name", "short")
    takes_value = True

    def __init__(
        self, name: str, short: str, metavar: str, meaning: str, default: str = ""
    ) -> None:
        self.name = name
        self.short = short
        self.metavar = metavar
        self.meaning = meaning
        self.default = default

    @property
    def spelled(self) -> str:
        """The option as refusals name it: `-m, --memory`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"

    def prepare(self, given: Given) -> None:
        """Put the default into `given`."""
        raise NotImplementedError

    def accept(self, given: Given, raw: str) -> None:
        """Put the value that was written into `given`; ValueError says what it should be."""
        raise NotImplementedError


class Switch(Option):
    """An option that is on or off."""

    __slots__ = ()
    takes_value = False

    def __init__(self, name: str, short: str, meaning: str, *, on: bool = False) -> None:
        super().__init__(name, short, "", meaning, "true" if on else "")

    def prepare(self, given: Given) -> None:
        given.switches[self.name] = self.default == "true"

    def accept(self, given: Given, raw: str) -> None:
        if raw not in _TRUE and raw not in _FALSE:
            raise ValueError("it is a switch: true or false")
        given.switches[self.name] = raw in _TRUE


class Text(Option):
    """An option with one value; the last one written counts."""

    __slots__ = ()

    def prepare(self, given: Given) -> None:
        given.words[self.name] = self.default or None

    def accept(self, given: Given, raw: str) -> None:
        given.words[self.name] = raw


class Texts(Option):
    """An option that may be repeated; every value counts, in order."""

    __slots__ = ()

    def prepare(self, given: Given) -> None:
        given.lists[self.name] = []

    def accept(self, given: Given, raw: str) -> None:
        given.lists[self.name].append(raw)


class Whole(Option):
    """An option whose value is a whole number."""

    __slots__ = ()

    def prepare(self, given: Given) -> None:
        given.numbers[self.name] = int(self.default) if self.default else None

    def accept(self, given: Given, raw: str) -> None:
        digits = raw[1:] if raw[:1] in ("-", "+") else raw
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError("it is a whole number")
        given.numbers[self.name] = int(raw)


class Section:
    """Options under one heading of `--help`."""

    __slots__ = ("heading", "options")

    def __init__(self, heading: str, *options: Option) -> None:
        self.heading = heading
        self.options = options


HELP = Switch("help", "", "Print this text")


class Command:
    """A command's whole declaration.

    `arguments` is the usage line's tail; `least` and `most` bound how many there are (`most` of
    None: no bound). `failure` is the exit code of a refusal that is not about the words. `docker`
    names the command of Docker's that has more of them, in `absent`; "" is none.
    """

    __slots__ = (
        "arguments",
        "description",
        "docker",
        "examples",
        "failure",
        "interspersed",
        "least",
        "most",
        "sections",
    )

    def __init__(
        self,
        *,
        description: str,
        arguments: str = "",
        least: int = 0,
        most: int | None = 0,
        sections: Sequence[Section] = (),
        examples: Sequence[tuple[str, str]] = (),
        interspersed: bool = True,
        failure: int = 1,
        docker: str = "",
    ) -> None:
        self.arguments = arguments
        self.description = description
        self.docker = docker
        self.examples = examples
        self.failure = failure
        self.interspersed = interspersed
        self.least = least
        self.most = most
        self.sections = sections

    def options(self) -> list[Option]:
        """Every option, `--help` included."""
        return [option for section in self.sections for option in section.options] + [HELP]

    def usage(self, spelled: str) -> str:
        """The usage line, for the command as it was spelled."""
        words = [spelled, "[OPTIONS]" if self.sections else "", self.arguments]
        return " ".join(word for word in words if word)


class Given:
    """What the words of one command line came to.

    Every declared option has an entry, so asking for one that was never declared is a KeyError.
    """

    __slots__ = ("arguments", "lists", "numbers", "switches", "words")

    def __init__(self, options: Iterable[Option]) -> None:
        self.arguments: list[str] = []
        self.switches: dict[str, bool] = {}
        self.words: dict[str, str | None] = {}
        self.lists: dict[str, list[str]] = {}
        self.numbers: dict[str, int | None] = {}
        for option in options:
            option.prepare(self)

    def on(self, name: str) -> bool:
        """Whether a `Switch` is on."""
        return self.switches[name]

    def text(self, name: str) -> str | None:
        """A `Text`'s value, or None when it was not given."""
        return self.words[name]

    def texts(self, name: str) -> list[str]:
        """A `Texts`' values, in order."""
        return self.lists[name]

    def number(self, name: str) -> int | None:
        """A `Whole`'s value, or None when it was not given."""
        return self.numbers[name]


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


def bad_value(option: str, raw: str, why: str) -> UsageError:
    """The refusal of one option's value; `option` is written as in `Option.spelled`."""
    return UsageError(f'invalid argument "{raw}" for "{option}" flag: {why}')


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
