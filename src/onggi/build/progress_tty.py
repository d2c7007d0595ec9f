"""A build shown in place: a few lines of a terminal, redrawn as things happen.

No more lines than the terminal has are ever drawn, for what has scrolled away cannot be redrawn.
What a command writes is shown without its control characters, which would move the cursor.
"""

from __future__ import annotations

import os

from onggi.build.progress import (
    Event,
    Exported,
    StepCached,
    StepDone,
    StepFailed,
    StepNotCached,
    StepOutput,
    StepStarted,
    Warned,
)
from onggi.linux.control_characters import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_OUTPUT_LINES = 6
_SECONDS_BETWEEN = 0.1
_UP = "\x1b[{}A"
_CLEAR_BELOW = "\x1b[J"
_BLUE, _RED, _FAINT, _PLAIN = "\x1b[34m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


class _Step:
    __slots__ = ("ended", "lines", "mark", "note", "rest", "started", "title")

    def __init__(self, title: str, started: float) -> None:
        self.title = title
        self.started = started
        self.ended: float | None = None
        self.mark = "=>"
        self.note = ""
        self.lines: list[str] = []
        self.rest = {1: "", 2: ""}


class TtyRenderer:
    """Keeps the state of a build on a terminal.

    Args:
        file: the terminal. size: (columns, lines), to be asked of the terminal when None.
    """

    def __init__(self, file: TextIO, size: tuple[int, int] | None = None) -> None:
        self._file = file
        self._size = size
        self._steps: dict[int, _Step] = {}
        self._drawn = 0
        self._begun: float | None = None
        self._next = 0.0
        self._now = 0.0
        self._last: list[str] = []
        self._closed = False

    def __call__(self, event: Event) -> None:
        """Take an event in; draw unless something was drawn just now."""
        self._now = event.moment
        if self._begun is None:
            self._begun = event.moment
        if isinstance(event, Warned):
            self._erase()
            self._file.write(f"warning: {one_line(event.text)}\n")
        elif isinstance(event, Exported):
            self._last = [one_line(line) for line in event.lines()]
        else:
            self._take(event)
        if event.moment >= self._next:
            self._next = event.moment + _SECONDS_BETWEEN
            self._draw()

    def _take(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._steps[event.number] = _Step(event.title, event.moment)
            return
        if isinstance(event, StepOutput):
            self._output(self._steps[event.number], event)
        elif isinstance(event, StepNotCached):
            self._steps[event.number].note = f"not cached: {event.why}"
        elif isinstance(event, StepCached | StepDone | StepFailed):
            self._end(self._steps[event.number], event)

    def _end(self, step: _Step, event: StepCached | StepDone | StepFailed) -> None:
        step.ended = event.moment
        step.note = ""
        step.lines = step.lines if isinstance(event, StepFailed) else []
        if isinstance(event, StepCached):
            step.mark = "=> CACHED"
        elif isinstance(event, StepFailed):
            step.mark = "=> ERROR"

    def _output(self, step: _Step, event: StepOutput) -> None:
        text = step.rest[event.stream] + event.data.decode("utf-8", "replace")
        *lines, step.rest[event.stream] = text.replace("\r\n", "\n").split("\n")
        lines = [line.rpartition("\r")[2] for line in lines]
        step.lines = [*step.lines, *map(_printable, lines)][-_OUTPUT_LINES:]

    def close(self) -> None:
        """Draw the last state and leave it there; closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._draw()
        self._file.write("".join(f"{line}\n" for line in self._last))
        self._file.flush()

    def _erase(self) -> None:
        if self._drawn:
            self._file.write(_UP.format(self._drawn) + _CLEAR_BELOW)
            self._drawn = 0

    def _draw(self) -> None:
        columns, rows = self._size or _terminal_size(self._file)
        lines = self._lines(columns, rows - 1)
        self._erase()
        self._file.write("".join(f"{line}\n" for line in lines))
        self._file.flush()
        self._drawn = len(lines)

    def _lines(self, columns: int, rows: int) -> list[str]:
        done = sum(1 for step in self._steps.values() if step.ended is not None)
        elapsed = self._now - (self._begun or 0.0)
        head = f"[+] Building {elapsed:.1f}s ({done}/{len(self._steps)})"
        lines = [line for step in self._steps.values() for line in self._step(step, columns)]
        return [head[:columns], *lines[-max(rows - 1, 1) :]]

    def _step(self, step: _Step, columns: int) -> list[str]:
        until = self._now if step.ended is None else step.ended
        seconds = f"{until - step.started:.1f}s"
        title = f" {step.mark} {one_line(step.title)}"
        if step.note:
            title += f"  ({one_line(step.note)})"
        room = max(columns - len(seconds) - 1, 10)
        colour = _RED if "ERROR" in step.mark else _BLUE if step.ended is not None else ""
        lines = [f"{colour}{title[:room]:{room}}{_PLAIN if colour else ''} {seconds}"]
        if step.ended is None or "ERROR" in step.mark:
            shown = [f" => => # {line}"[:columns] for line in step.lines]
            lines += [f"{_FAINT}{line}{_PLAIN}" for line in shown]
        return lines


def _printable(text: str) -> str:
    """Drop escape sequences and control characters; a tab becomes a blank."""
    if text.isprintable():
        return text
    import re

    text = re.sub(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|.)", "", text)
    return "".join(
        character if character.isprintable() else " " * (character == "\t") for character in text
    )


def _terminal_size(file: TextIO) -> tuple[int, int]:
    try:
        size = os.get_terminal_size(file.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns or 80, size.lines or 24
