"""Documents that follow a RUN, COPY or ADD line: ``<<EOF``, ``<<-EOF``, ``<<"EOF"``.

Source: buildkit, frontend/dockerfile/parser/parser.go (heredocFromMatch); POSIX XCU 2.7.4.
"""

from __future__ import annotations

from onggi.build.expansion import Expander

_READING = Expander(keep_unset=True)
_READING_QUOTED = Expander(raw_quotes=True, keep_unset=True)
_LINE = Expander(raw_quotes=True, raw_escapes=True, keep_unset=True)


class Heredoc:
    """One document: its name (also the word that ends it), its text, and how to read it.

    `expand` is false when any part of the name was quoted. With `chomp` (``<<-``) leading tabs
    of each line do not count.
    """

    __slots__ = ("chomp", "expand", "name", "text")

    def __init__(self, name: str, *, expand: bool, chomp: bool, text: str = "") -> None:
        self.name = name
        self.expand = expand
        self.chomp = chomp
        self.text = text

    @property
    def content(self) -> str:
        """The text as it is meant: without leading tabs if so asked."""
        if not self.chomp:
            return self.text
        return "".join(line.lstrip("\t") for line in self.text.splitlines(keepends=True))

    def ends_at(self, line: str) -> bool:
        """Whether `line` is the one that ends the document."""
        line = line.rstrip("\r\n")
        return (line.lstrip("\t") if self.chomp else line) == self.name

    def dump(self) -> str:
        """Write the document for a statement's dump."""
        import json

        mark = f"<<{'-' if self.chomp else ''}{self.name}{'' if self.expand else ' quoted'}"
        return f"({mark} {json.dumps(self.text, ensure_ascii=False)})"


def find_heredocs(line: str) -> list[Heredoc]:
    """List the documents that a line announces, in order.

    Raises: SyntaxProblem: a document's name has unbalanced quotes.
    """
    if "<<" not in line:
        return []
    found = [heredoc_of(word) for word in _LINE.words(line, {})]
    return [heredoc for heredoc in found if heredoc is not None]


def heredoc_of(word: str) -> Heredoc | None:
    """Read one word as the announcement of a document, if it is one.

    Raises: SyntaxProblem: the quotes are unbalanced.
    """
    name = word.lstrip("0123456789")
    if not name.startswith("<<"):
        return None
    chomp = name.startswith("<<-")
    name = name[3:] if chomp else name[2:]
    if not name or "<" in name:
        return None
    words = _READING.words(name, {})
    if len(words) != 1:
        return None
    [with_quotes] = _READING_QUOTED.words(name, {}) or [""]
    return Heredoc(words[0], expand=_quotes(words[0]) == _quotes(with_quotes), chomp=chomp)


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
