"""Splitting the rest of an instruction: flags, words, pairs, JSON arrays.

Each instruction has its own way of reading what follows its name; this module has the ways and
``statement.py`` says which instruction uses which. Quotes and escapes stay in the words here:
expansion removes them later, with the variables.

Source: buildkit, frontend/dockerfile/parser/{split_command,line_parsers}.go.
"""

from __future__ import annotations

from onggi.build.errors import SyntaxProblem
from onggi.oci import jsontext

_BLANKS = "\t\v\f\r "


def split_blanks(text: str, limit: int = -1) -> list[str]:
    """Split at runs of blanks; unlike str.split, blanks at an edge leave an empty word there."""
    words: list[str] = []
    start = at = 0
    while at < len(text) and len(words) != limit - 1:
        if text[at] not in _BLANKS:
            at += 1
            continue
        words.append(text[start:at])
        while at < len(text) and text[at] in _BLANKS:
            at += 1
        start = at
    return [*words, text[start:]]


def split_words(text: str, escape: str) -> list[str]:
    """Split into words as a shell would, leaving quotes and escapes in place."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        word, at = _word(text, at, escape)
        if word:
            words.append(word)
    return words


def _word(text: str, at: int, escape: str) -> tuple[str, int]:
    pieces = []
    quote = ""
    while at < len(text) and (quote or not text[at].isspace()):
        character = text[at]
        if character == escape and quote != "'":
            if at + 1 < len(text):
                pieces.append(text[at : at + 2])
            at += 2
            continue
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        pieces.append(character)
        at += 1
    return "".join(pieces), min(at, len(text))


def split_pairs(text: str, instruction: str, escape: str) -> list[tuple[str, str]]:
    """Read ``name=value …``, or the old form ``name all the rest``."""
    words = split_words(text, escape)
    if not words:
        return []
    if "=" not in words[0]:
        old = split_blanks(text, 2)
        if len(old) < 2:
            raise SyntaxProblem(f"{instruction} must have two arguments")
        return [(old[0], old[1])]
    for word in words:
        if "=" not in word:
            raise SyntaxProblem(
                f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
            )
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def json_words(text: str) -> list[str] | None:
    """Read a JSON array of strings; None when the text is no JSON array, which is no error.

    Raises: SyntaxProblem: it is an array, and holds something else than strings.
    """
    text = text.lstrip()
    if not text.startswith("["):
        return None
    try:
        values = jsontext.loads(text)
    except ValueError:
        return None
    if not all(isinstance(value, str) for value in values):
        raise SyntaxProblem(
            "when using JSON array syntax, arrays must be comprised of strings only"
        )
    return list(values)


def split_command(line: str) -> tuple[str, list[str], str]:
    """Split an instruction into its name, its ``--flags`` and the rest."""
    name, *rest = split_blanks(line.strip(), 2)
    if not rest:
        return name, [], ""
    flags, arguments = _take_flags(rest[0])
    return name, flags, arguments.strip()


def _take_flags(text: str) -> tuple[list[str], str]:
    """Take the leading ``--name=value`` and ``--name`` words off `text`; ``--`` ends them."""
    flags: list[str] = []
    at = 0
    while (at := _skip_space(text, at)) < len(text):
        if not text.startswith("--", at):
            return flags, text[at:]
        word, at = _flag_word(text, at)
        if word == "--" and at < len(text):
            return flags, text[at:]
        if word != "--":
            flags.append(word)
    return flags, ""


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _flag_word(text: str, at: int) -> tuple[str, int]:
    """Read one word without its quotes and backslashes."""
    pieces = []
    quote = ""
    while at < len(text) and (quote or not text[at].isspace()):
        character = text[at]
        if character == "\\":
            pieces.append(text[at + 1 : at + 2])
            at += 2
            continue
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        else:
            pieces.append(character)
        at += 1
    return "".join(pieces), min(at, len(text))
