"""Statements: one instruction each, split into words, not yet understood.

    ``RUN --network=none echo hi``  ->  name RUN, flags [--network=none], arguments [echo hi]

Source: buildkit, frontend/dockerfile/parser/parser.go.
"""

from __future__ import annotations

from onggi.build.source import Range
from onggi.build.words import (
    json_words,
    split_blanks,
    split_command,
    split_pairs,
    split_words,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.heredoc import Heredoc


class Statement:
    """One instruction as it stands in the file.

    Attributes:
        name: the instruction's name as it was written. flags: its ``--words``.
        arguments: what follows, split in the instruction's own way; ENV and LABEL give name,
            value, name, value. is_json: the arguments came from a JSON array.
        inner: the instruction inside an ONBUILD. heredocs: documents that follow the line.
        original: the joined line. comments: the comment lines right above it.
    """

    __slots__ = (
        "arguments",
        "comments",
        "flags",
        "heredocs",
        "inner",
        "is_json",
        "name",
        "original",
        "range",
    )

    def __init__(self, name: str, flags: list[str], original: str) -> None:
        self.name = name
        self.flags = flags
        self.original = original
        self.arguments: list[str] = []
        self.is_json = False
        self.inner: Statement | None = None
        self.heredocs: list[Heredoc] = []
        self.comments: list[str] = []
        self.range = Range(0, 0)

    @property
    def keyword(self) -> str:
        """The instruction's name in capitals."""
        return self.name.upper()

    @property
    def takes_heredocs(self) -> bool:
        """Whether documents may follow the line."""
        statement = self
        if self.keyword == "ONBUILD" and self.inner is not None:
            statement = self.inner
        return statement.keyword in ("ADD", "COPY", "RUN") and not statement.is_json

    def dump(self) -> str:
        """Write the statement as one S-expression, for tests and people."""
        import json

        words = [self.name.lower()]
        if self.flags:
            words.append(json.dumps(self.flags, ensure_ascii=False))
        if self.inner is not None:
            words.append(self.inner.dump())
        else:
            words += [json.dumps(word, ensure_ascii=False) for word in self.arguments]
        documents = [heredoc.dump() for heredoc in self.heredocs]
        return f"({' '.join([*words, *documents])})"


def read_statement(line: str, escape: str) -> Statement:
    """Split one joined line.

    Raises: SyntaxProblem: the line breaks the grammar of its instruction.
    """
    name, flags, rest = split_command(line)
    statement = Statement(name, flags, line)
    keyword = statement.keyword
    if keyword == "ONBUILD":
        if rest:
            statement.inner = read_statement(rest, escape)
    elif keyword in ("ENV", "LABEL"):
        pairs = split_pairs(rest, keyword, escape)
        statement.arguments = [word for pair in pairs for word in pair]
    elif keyword == "ARG":
        statement.arguments = split_words(rest, escape)
    elif rest:
        _read_plain(statement, rest)
    return statement


def _read_plain(statement: Statement, rest: str) -> None:
    keyword = statement.keyword
    if keyword in ("CMD", "ENTRYPOINT", "RUN", "SHELL"):
        _read_json_or(statement, rest, [rest])
    elif keyword in ("ADD", "COPY", "VOLUME"):
        _read_json_or(statement, rest, split_blanks(rest))
    elif keyword in ("EXPOSE", "FROM"):
        statement.arguments = split_blanks(rest)
    elif keyword == "HEALTHCHECK":
        kind, *command = rest.split(None, 1)
        if command:
            _read_json_or(statement, command[0], command)
        statement.arguments.insert(0, kind)
    else:
        statement.arguments = [rest]


def _read_json_or(statement: Statement, text: str, words: list[str]) -> None:
    listed = json_words(text)
    statement.is_json = listed is not None
    statement.arguments = words if listed is None else listed
