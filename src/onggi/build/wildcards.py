r"""Wildcards in COPY's and ADD's sources: ``*``, ``?``, ``[a-z]`` and ``\`` to escape.

Source: Go, path/filepath.Match.
"""

from __future__ import annotations


def has_wildcards(text: str) -> bool:
    """Whether a path is a pattern; an escaped mark is none."""
    at = 0
    while at < len(text):
        if text[at] in "*?[":
            return True
        at += 2 if text[at] == "\\" else 1
    return False


def unescaped(text: str) -> str:
    """Return a path that is no pattern without its escapes."""
    rest = iter(text)
    return "".join(next(rest, "") if one == "\\" else one for one in rest)


def class_end(text: str, start: int) -> int:
    """Return the place after the ``]`` of the class that begins at `start`.

    Raises: ValueError: there is none.
    """
    at = start + 1
    if text[at : at + 1] == "^":
        at += 1
    first = at
    while at < len(text) and (text[at] != "]" or at == first):
        at += 2 if text[at] == "\\" else 1
    if at >= len(text):
        raise ValueError(f"the [ at character {start + 1} has no ]")
    return at + 1


def matches(pattern: str, name: str) -> bool:
    """Whether `pattern` matches the whole of `name`, a name without slashes.

    Raises: ValueError: the pattern makes no sense.
    """
    import re

    pieces = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "[":
            end = class_end(pattern, at)
            pieces.append(pattern[at:end])
            at = end
            continue
        if character == "\\":
            at += 1
            pieces.append(re.escape(pattern[at : at + 1]))
        else:
            pieces.append({"*": ".*", "?": "."}.get(character, re.escape(character)))
        at += 1
    return re.fullmatch("".join(pieces), name, re.DOTALL) is not None
