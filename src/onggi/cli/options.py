"""What a command accepts, declared once: the parser, the refusals and `--help` all read it."""

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
    """Options under one heading of `--help`; without a heading they are told of elsewhere."""

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


def bad_value(option: str, raw: str, why: str) -> UsageError:
    """The refusal of one option's value; `option` is written as in `Option.spelled`."""
    return UsageError(f'invalid argument "{raw}" for "{option}" flag: {why}')
