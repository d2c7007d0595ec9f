"""The words of a command line: options in the spellings of runc and of crun, and arguments.

    --bundle DIR   --bundle=DIR   -bundle DIR   -b DIR   --detach   --detach=false   -td   --

Go's runtimes take a long name behind one hyphen as well, and C's take several letters behind one;
a word that is a long name counts as that. crun's -? and --usage are --help, its -V is -v.
"""

from __future__ import annotations

from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_TRUE = ("true", "1", "t", "yes")
_FALSE = ("false", "0", "f", "no")  # crun's exec --tty=no

# crun's word -> ours, where a command has that and not the word itself
_CRUNS = {"?": "help", "usage": "help", "V": "version"}


class UsageError(InvalidInput):
    """Words that no command line has."""


class Option:
    """An option. `value` names what it takes, in the help; an empty one takes nothing."""

    __slots__ = ("help", "name", "short", "value")

    def __init__(self, name: str, value: str = "", help: str = "", *, short: str = "") -> None:  # noqa: A002
        self.name = name
        self.value = value
        self.help = help
        self.short = short

    def spelled(self) -> str:
        """Return the option as the help shows it."""
        short = f"-{self.short}, " if self.short else ""
        return f"{short}--{self.name}" + (f" {self.value}" if self.value else "")


_HELP = Option("help", "", "Print this", short="h")


class Command:
    """What a command takes: its arguments by name and number, and its options, --help with them.

    interspersed: options may stand behind arguments. Where they may not, what follows the first
    argument is a program's own.
    """

    __slots__ = ("arguments", "interspersed", "least", "most", "options")

    def __init__(
        self,
        arguments: str,
        least: int,
        most: int | None,
        *options: Option,
        interspersed: bool = True,
    ) -> None:
        self.arguments = arguments
        self.least = least
        self.most = most
        self.options = (*options, _HELP)
        self.interspersed = interspersed


class Words:
    """What was given: arguments in order, and options by their long name."""

    __slots__ = ("_given", "arguments")

    def __init__(self, given: dict[str, list[str]], arguments: list[str]) -> None:
        self._given = given
        self.arguments = arguments

    def has(self, name: str) -> bool:
        """Tell whether the option was given, or a switch turned on."""
        return bool(self._given.get(name))

    def text(self, name: str, default: str = "") -> str:
        """Return an option's value; of several the last counts."""
        return self._given.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        """Return every value of an option that may be given again."""
        return self._given.get(name, [])

    def number(self, name: str, default: int = 0) -> int:
        """Return a value that is a whole number. Raises: UsageError."""
        text = self.text(name, str(default))
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
            raise UsageError(f"invalid value {text!r} for flag -{name}: not a number")
        return int(text)


def parse(command: Command, words: Sequence[str], name: str) -> Words:
    """Read the words behind a command's name.

    Raises: UsageError: an option that it does not have, one without its value, or another number
        of arguments than it takes.
    """
    known = {option.name: option for option in command.options}
    known |= {option.short: option for option in command.options if option.short}
    known = {word: known[ours] for word, ours in _CRUNS.items() if ours in known} | known
    given: dict[str, list[str]] = {}
    arguments: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            arguments += left
            break
        if not word.startswith("-") or word == "-":
            arguments.append(word)
            if not command.interspersed:
                arguments += left
                break
            continue
        for one in _spread(word, known):
            _take(one, known, given, left)
    if not given.get("help"):  # whoever asks for it does not know yet what else to give
        _require_number(command, arguments, name)
    return Words(given, arguments)


def _spread(word: str, known: dict[str, Option]) -> list[str]:
    """Split letters behind one hyphen, if each is a switch (the last may take a value)."""
    letters = word[1:]
    if word.startswith("--") or letters.partition("=")[0] in known or len(letters) < 2:
        return [word]
    if all(one in known for one in letters) and not any(known[one].value for one in letters[:-1]):
        return [f"-{one}" for one in letters]
    return [word]


def _take(
    word: str, known: dict[str, Option], given: dict[str, list[str]], left: list[str]
) -> None:
    name, equals, value = word.lstrip("-").partition("=")
    option = known.get(name)
    if option is None:
        raise UsageError(f"flag provided but not defined: -{name}")
    values = given.setdefault(option.name, [])
    if not option.value:
        if equals and value.lower() not in (*_TRUE, *_FALSE):
            raise UsageError(f"invalid boolean value {value!r} for -{name}")
        values[:] = [] if value.lower() in _FALSE else ["true"]
    elif equals:
        values.append(value)
    elif left:
        values.append(left.pop(0))
    else:
        raise UsageError(f"flag needs an argument: -{name}")


def _require_number(command: Command, arguments: list[str], name: str) -> None:
    least, most = command.least, command.most
    if len(arguments) >= least and (most is None or len(arguments) <= most):
        return
    if least == most:
        raise UsageError(f'"{name}" requires exactly {least} argument(s)')
    if len(arguments) < least:
        raise UsageError(f'"{name}" requires a minimum of {least} argument(s)')
    raise UsageError(f'"{name}" requires a maximum of {most} argument(s)')
