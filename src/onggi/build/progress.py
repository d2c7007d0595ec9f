"""What a build tells while it runs: events, and ways to show them.

The builder calls one function with each event; a renderer is such a function with a file. `plain`
writes a line for everything, `tty` keeps a few lines of a terminal up to date, `quiet` writes
nothing and `rawjson` one JSON object a line. What a command of the build writes is shown as it is,
as far as that goes; names, errors and all else have their control characters spelled.

Source: buildkit, util/progress/progressui (the look of both).
"""

from __future__ import annotations

import time

from onggi.errors import InvalidInput
from onggi.linux.control_characters import in_json, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TextIO

    class Renderer(Protocol):
        """Shows events as they come."""

        def __call__(self, event: Event) -> None:
            """Show one event."""

        def close(self) -> None:
            """Show the rest; nothing comes after this."""


class Event:
    """Something that happened at `moment`, in seconds of a clock that only goes forward."""

    __slots__ = ("moment",)

    def __init__(self) -> None:
        self.moment = time.monotonic()


class StepEvent(Event):
    """Something that happened to step `number`, counted from 1 in the order of their starts."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class StepStarted(StepEvent):
    """A step begins; `title` is like ``[build 2/5] RUN make``."""

    __slots__ = ("title",)

    def __init__(self, number: int, title: str) -> None:
        super().__init__(number)
        self.title = title


class StepCached(StepEvent):
    """The step was taken from the cache."""

    __slots__ = ()


class StepNotCached(StepEvent):
    """The step is carried out, and `why` it was not taken from the cache."""

    __slots__ = ("why",)

    def __init__(self, number: int, why: str) -> None:
        super().__init__(number)
        self.why = why


class StepOutput(StepEvent):
    """The step's command wrote `data` to `stream`, 1 or 2."""

    __slots__ = ("data", "stream")

    def __init__(self, number: int, stream: int, data: bytes) -> None:
        super().__init__(number)
        self.stream = stream
        self.data = data


class StepDone(StepEvent):
    """The step ended well."""

    __slots__ = ()


class StepFailed(StepEvent):
    """The step, and with it the build, failed."""

    __slots__ = ("error",)

    def __init__(self, number: int, error: str) -> None:
        super().__init__(number)
        self.error = error


class Warned(Event):
    """Something is accepted, and better avoided."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Exported(Event):
    """The image is made and delivered: its names, and the places outside the store it went to."""

    __slots__ = ("image_id", "names", "places")

    def __init__(self, image_id: str, names: list[str], places: list[str] | None = None) -> None:
        super().__init__()
        self.image_id = image_id
        self.names = names
        self.places = places or []

    def lines(self) -> list[str]:
        """Say it to people."""
        names = [f"named {name}" for name in self.names]
        return [f"image {self.image_id}", *names, *(f"written to {path}" for path in self.places)]


def make_renderer(kind: str, file: TextIO) -> Renderer:
    """Make what `--progress` names: auto, plain, tty, quiet or rawjson.

    Raises: InvalidInput
    """
    if kind == "auto":
        kind = "tty" if file.isatty() else "plain"
    if kind == "tty":
        from onggi.build.progress_tty import TtyRenderer

        return TtyRenderer(file)
    if kind == "rawjson":
        return RawJson(file)
    if kind in ("plain", "quiet"):
        return Plain(file) if kind == "plain" else Quiet()
    raise InvalidInput(f"invalid progress type {kind!r}", hint="auto, plain, tty, quiet or rawjson")


class Quiet:
    """Shows nothing."""

    def __call__(self, event: Event) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class Plain:
    """Writes a line for everything, marked with the step's number."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._started: dict[int, float] = {}
        self._unfinished: dict[tuple[int, int], bytes] = {}
        self._last = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned):
            self._file.write(f"warning: {one_line(event.text)}\n")
        elif isinstance(event, Exported):
            self._file.write("".join(f"{one_line(line)}\n" for line in ["", *event.lines()]))
        elif isinstance(event, StepEvent):
            self._step(event)

    def _step(self, event: StepEvent) -> None:
        number = event.number
        if isinstance(event, StepStarted):
            if self._last:
                self._file.write("\n")
            self._started[number] = event.moment
            self._line(number, one_line(event.title))
        elif isinstance(event, StepOutput):
            self._output(event)
        elif isinstance(event, StepNotCached):
            self._line(number, f"not cached: {one_line(event.why)}")
        else:
            self._end(event)
        self._last = number

    def _end(self, event: StepEvent) -> None:
        self._flush(event)
        if isinstance(event, StepCached):
            self._line(event.number, "CACHED")
        elif isinstance(event, StepFailed):
            self._line(event.number, f"ERROR: {one_line(event.error)}")
        else:
            self._line(event.number, f"DONE {self._seconds(event):.1f}s")

    def _output(self, event: StepOutput) -> None:
        place = (event.number, event.stream)
        *lines, rest = (self._unfinished.get(place, b"") + event.data).split(b"\n")
        self._unfinished[place] = rest
        for line in lines:
            self._said(event, line)

    def _flush(self, event: StepEvent) -> None:
        for stream in (1, 2):
            rest = self._unfinished.pop((event.number, stream), b"")
            if rest:
                self._said(event, rest)

    def _said(self, event: StepEvent, line: bytes) -> None:
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        self._line(event.number, f"{self._seconds(event):.3f} {text}")

    def _seconds(self, event: StepEvent) -> float:
        return event.moment - self._started.get(event.number, event.moment)

    def _line(self, number: int, text: str) -> None:
        self._file.write(f"#{number} {text}\n")
        self._file.flush()

    def close(self) -> None:
        """Everything has been written already."""
        self._file.flush()


class RawJson:
    """Writes one JSON object a line: `event`, and the event's own fields."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __call__(self, event: Event) -> None:
        from onggi.oci.jsontext import dumps

        fields: dict[str, object] = {"event": type(event).__name__}
        for kind in reversed(type(event).__mro__):
            for name in getattr(kind, "__slots__", ()):
                value = getattr(event, name)
                fields[name] = value.decode("utf-8", "replace") if name == "data" else value
        self._file.write(f"{in_json(dumps(fields))}\n")
        self._file.flush()

    def close(self) -> None:
        """Everything has been written already."""
        self._file.flush()


class Reporter:
    """The builder's side: numbers the steps and passes events on."""

    __slots__ = ("_show", "_steps")

    def __init__(self, show: Callable[[Event], None]) -> None:
        self._show = show
        self._steps = 0

    def start(self, title: str) -> int:
        """Tell that a step begins; return its number."""
        self._steps += 1
        self._show(StepStarted(self._steps, title))
        return self._steps

    def tell(self, event: Event) -> None:
        """Pass an event on."""
        self._show(event)
