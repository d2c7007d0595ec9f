"""A Dockerfile's text, and places in it.

Source: buildkit, solver/errdefs/source.go (the look of an excerpt).
"""

from __future__ import annotations

_RULE = "-" * 20


def is_text(text: str) -> bool:
    """Whether it holds no bytes that came from outside and were no UTF-8 (PEP 383)."""
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)


class Range:
    """Lines `start` to `end` of a Dockerfile, both counted from 1 and both included."""

    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Range) and (self.start, self.end) == (other.start, other.end)

    def __hash__(self) -> int:
        return hash((self.start, self.end))

    def __repr__(self) -> str:
        return f"Range({self.start}, {self.end})"


class Source:
    """The text of one Dockerfile under the name that users know it by."""

    __slots__ = ("name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    def excerpt(self, lines: Range) -> str:
        """Show `lines` marked with ``>>>`` between a few of their neighbours."""
        text = self.text.split("\n")
        first, last = _padded(lines.start, min(lines.end, len(text)), len(text))
        shown = [f"{self.name}:{lines.start}", _RULE]
        for number in range(first, last + 1):
            mark = ">>>" if lines.start <= number <= lines.end else "   "
            shown.append(f" {number:3d} | {mark} {text[number - 1]}")
        return "\n".join([*shown, _RULE])


def _padded(start: int, end: int, count: int) -> tuple[int, int]:
    """Widen a range of lines the way BuildKit does: more around one line than around many."""
    wanted = 4 if start == end else 2
    shown = 0
    while shown < wanted:
        if start > 1:
            start, shown = start - 1, shown + 1
        if end != count:
            end, shown = end + 1, shown + 1
        shown += 1
    return start, end
