"""The ``--flags`` of an instruction, checked against those that it knows.

Source: buildkit, frontend/dockerfile/instructions/bflag.go.
"""

from __future__ import annotations

from onggi.build.errors import SyntaxProblem

TEXT = "text"
SWITCH = "switch"
REPEATED = "repeated"


class Flags:
    """What an instruction's flags said."""

    __slots__ = ("_lists", "_switches", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._switches: dict[str, bool] = {}
        self._lists: dict[str, list[str]] = {}

    def text(self, name: str) -> str:
        """The value of a flag, empty when it was not given."""
        return self._texts.get(name, "")

    def switch(self, name: str) -> bool:
        """Whether a switch is on."""
        return self._switches.get(name, False)

    def choice(self, name: str) -> bool | None:
        """Whether a switch is on or off; None when it was not given."""
        return self._switches.get(name)

    def repeated(self, name: str) -> list[str]:
        """All values of a flag that may be given several times."""
        return self._lists.get(name, [])

    def _take(self, name: str, value: str, kind: str) -> None:
        if kind == REPEATED:
            self._lists.setdefault(name, []).append(value)
            return
        if name in self._texts or name in self._switches:
            raise SyntaxProblem(f"duplicate flag specified: {name}")
        if kind == TEXT:
            self._texts[name] = value
        else:
            self._switches[name] = _truth(name, value)


def read_flags(words: list[str], known: dict[str, str]) -> Flags:
    """Read ``--name=value`` words; `known` says of each name whether it is TEXT or what.

    Raises: SyntaxProblem: an unknown flag, a second one, or one without its value.
    """
    flags = Flags()
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        kind = known.get(name)
        if kind is None:
            raise SyntaxProblem(f"unknown flag: --{name}{_suggestion(name, known)}")
        if (kind != SWITCH and not equals) or (kind == SWITCH and equals and not value):
            raise SyntaxProblem(f"missing a value on flag: --{name}")
        flags._take(name, value, kind)
    return flags


def _truth(name: str, value: str) -> bool:
    if value.lower() not in ("", "true", "false"):
        raise SyntaxProblem(f"expecting boolean value for flag --{name}, not: {value}")
    return value.lower() != "false"


def _suggestion(name: str, known: dict[str, str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    return f" (did you mean --{close[0]}?)" if close else ""
