"""Patterns inside ``${x#…}``, ``${x%…}`` and ``${x/…/…}``: only ``*``, ``?`` and escapes.

Source: buildkit, frontend/dockerfile/shell/lex.go; POSIX XCU 2.13 without bracket expressions.
"""

from __future__ import annotations

import re

from onggi.build.errors import SyntaxProblem


def trim_start(value: str, pattern: str, *, longest: bool) -> str:
    """Return `value` without what `pattern` matches at its start."""
    match = _compile(pattern, longest).match(value)
    return value[match.end() :] if match else value


def trim_end(value: str, pattern: str, *, longest: bool) -> str:
    """Return `value` without what `pattern` matches at its end.

    Both are read backwards, for a search finds the leftmost match and never the shortest rightmost.
    """
    match = _compile(_reversed(pattern), longest).match(value[::-1])
    return value[: len(value) - match.end()] if match else value


def replace(value: str, pattern: str, replacement: str, *, every: bool) -> str:
    """Return `value` with the first or `every` longest match replaced by plain text."""
    return _compile(pattern, True).sub(lambda _: replacement, value, count=0 if every else 1)


def _compile(pattern: str, longest: bool) -> re.Pattern[str]:
    pieces = []
    rest = iter(pattern)
    for character in rest:
        if character == "*":
            pieces.append(".*" if longest else ".*?")
        elif character == "?":
            pieces.append(".")
        elif character == "\\":
            pieces.append(_escaped(next(rest, ""), pattern))
        else:
            pieces.append(re.escape(character))
    return re.compile("".join(pieces))


def _escaped(character: str, pattern: str) -> str:
    """What an escape makes of the next character; ``}`` and ``/`` had to be escaped for ``${}``."""
    if not character or character not in "*?\\}/":
        raise SyntaxProblem(
            f"invalid pattern ({pattern}) in substitution: invalid escape '\\{character}'"
        )
    return re.escape(character)


def _reversed(pattern: str) -> str:
    """Reverse a pattern, leaving each escape before the character that it escapes."""
    rest = iter(pattern)
    units = [one + next(rest, "") if one == "\\" else one for one in rest]
    return "".join(reversed(units))
