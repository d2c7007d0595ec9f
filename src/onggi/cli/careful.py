"""Standard output and error that show control characters instead of sending them.

All text that commands print passes here, wherever it is from: names, labels, commands, paths,
errors. What is a program's own output goes round it, as bytes: logs, `run`, `exec`, archives.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO


class Careful:
    """A text stream over another one, which is all the same but for what it lets through."""

    __slots__ = ("raw",)

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """Write text, with its control characters spelled, except for new lines and tabs."""
        if not text.replace("\n", "").isprintable():
            from onggi.linux.control_characters import shown

            text = shown(text)
        return self.raw.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def beneath(stream: TextIO) -> TextIO:
    """Return the stream below, for what may steer a terminal, or must not change on its way."""
    return stream.raw if isinstance(stream, Careful) else stream
