"""From a Dockerfile's lines to its statements: directives, comments, continuation, heredocs.

Facts:
- Directives (``# escape=`…``) come first; any other line, a comment too, ends them.
- A line ends with the escape character, perhaps blanks after it, to go on in the next; two escape
  characters at the end do not count. Comment lines in between vanish. Blank lines in between are
  skipped with a warning.
- ``# syntax=`` names an image that BuildKit would fetch and run as its parser. Here the grammar is
  built in: the line is accepted and no image is ever fetched or run for it.

Source: buildkit, frontend/dockerfile/parser/parser.go; docs.docker.com "Parser directives".
"""

from __future__ import annotations

from onggi.build.errors import DockerfileError, SyntaxProblem
from onggi.build.heredoc import Heredoc, find_heredocs
from onggi.build.source import Range, Source
from onggi.build.statement import Statement, read_statement

_DIRECTIVES = ("check", "escape", "syntax")
_LONGEST_LINE = 65535


class Syntax:
    """A Dockerfile split into statements, with what its directives said."""

    __slots__ = ("directives", "escape", "source", "statements", "warnings")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.statements: list[Statement] = []
        self.directives: dict[str, str] = {}
        self.escape = "\\"
        self.warnings: list[str] = []

    def dump(self) -> str:
        """Write all statements, one a line, for tests and people."""
        return "".join(f"{statement.dump()}\n" for statement in self.statements)


def parse(source: Source) -> Syntax:
    """Split a Dockerfile into statements.

    Raises: DockerfileError: with the line at fault.
    """
    return _Reader(source).read()


class _Reader:
    """One pass over the lines; `at` is the number of lines read so far."""

    def __init__(self, source: Source) -> None:
        self.lines = _lines(source.text.removeprefix("\ufeff"))
        self.at = 0
        self.source = source
        self.syntax = Syntax(source)
        self.in_directives = True
        self.comments: list[str] = []

    def read(self) -> Syntax:
        while self.at < len(self.lines):
            first = self.at + 1
            try:
                self._statement()
            except SyntaxProblem as problem:
                raise self._error(str(problem), Range(first, self.at)) from None
        if not self.syntax.statements:
            raise self._error("file with no instructions", Range(1, 1))
        return self.syntax

    def _error(self, text: str, lines: Range) -> DockerfileError:
        error = DockerfileError(f"dockerfile parse error on line {lines.start}: {text}")
        error.located(self.source, lines)
        return error

    def _next(self) -> str:
        line = self.lines[self.at]
        self.at += 1
        if len(line) > _LONGEST_LINE:
            raise SyntaxProblem(f"dockerfile line greater than max allowed size of {_LONGEST_LINE}")
        return line

    def _statement(self) -> None:
        line = self._next().strip("\r\n").lstrip()
        if self.in_directives:
            self._directive(line)
        if line.startswith("#"):
            self.comments.append(line[1:].strip())
            return
        first = self.at
        line = self._joined(line)
        if not line:
            return
        statement = read_statement(line, self.syntax.escape)
        if statement.takes_heredocs:
            statement.heredocs = [self._document(heredoc) for heredoc in find_heredocs(line)]
        statement.range = Range(first, self.at)
        statement.comments, self.comments = self.comments, []
        self.syntax.statements.append(statement)

    def _directive(self, line: str) -> None:
        name, value = _directive_of(line)
        if name not in _DIRECTIVES:
            self.in_directives = False
            return
        if name in self.syntax.directives:
            raise SyntaxProblem(f"only one {name} parser directive can be used")
        self.syntax.directives[name] = value
        if name == "escape":
            if value not in ("\\", "`"):
                raise SyntaxProblem(f"invalid escape token '{value}' does not match ` or \\")
            self.syntax.escape = value

    def _joined(self, line: str) -> str:
        """Join a line with those that continue it."""
        pieces = []
        blank_inside = False
        piece, goes_on = self._continuation(line)
        pieces.append(piece)
        while goes_on and self.at < len(self.lines):
            line = self._next().rstrip("\r\n")
            if line.lstrip().startswith("#"):
                continue
            if not line.strip():
                blank_inside = True
                continue
            piece, goes_on = self._continuation(line)
            pieces.append(piece)
        joined = "".join(pieces)
        if blank_inside:
            self.syntax.warnings.append(f"Empty continuation line found in: {joined}")
        return joined

    def _continuation(self, line: str) -> tuple[str, bool]:
        """Take the escape character off the end of a line; tell whether one was there."""
        escape = self.syntax.escape
        bare = line.rstrip(" \t")
        if bare.endswith(escape) and not bare.endswith(escape * 2):
            return bare[:-1], True
        return line, False

    def _document(self, heredoc: Heredoc) -> Heredoc:
        """Read the lines of a document up to the one that ends it."""
        lines: list[str] = []
        while self.at < len(self.lines):
            line = self._next()
            if heredoc.ends_at(line):
                heredoc.text = "".join(lines)
                return heredoc
            lines.append(line)
        raise SyntaxProblem("unterminated heredoc")


def _lines(text: str) -> list[str]:
    """Split at line feeds alone: str.splitlines would also split at form feeds and the like."""
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _directive_of(line: str) -> tuple[str, str]:
    """Read ``# name = value``; an empty name when the line is no such thing."""
    name, equals, value = line.removeprefix("#").partition("=")
    name = name.strip().lower()
    value = value.strip()
    if not line.startswith("#") or not equals or not value:
        return "", ""
    known = name.isascii() and name.isalnum() and name[0].isalpha()
    return (name, value) if known else ("", "")
