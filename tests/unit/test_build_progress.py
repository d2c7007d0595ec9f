"""Progress: the plain lines, the redrawn terminal, and JSON."""

import io
import json

import pytest

from onggi.build.progress import (
    Event,
    Exported,
    Plain,
    Quiet,
    RawJson,
    Reporter,
    StepCached,
    StepDone,
    StepFailed,
    StepNotCached,
    StepOutput,
    StepStarted,
    Warned,
    make_renderer,
)
from onggi.build.progress_tty import TtyRenderer
from onggi.errors import InvalidInput


def at(moment: float, event: Event) -> Event:
    event.moment = moment
    return event


EVENTS = [
    at(0, StepStarted(1, "[1/3] FROM base")),
    at(0, StepDone(1)),
    at(1, StepStarted(2, "[2/3] COPY a b")),
    at(1, StepCached(2)),
    at(1, Warned("careful")),
    at(2, StepStarted(3, "[3/3] RUN make")),
    at(2, StepNotCached(3, "a.py changed")),
    at(2.5, StepOutput(3, 1, b"one\ntw")),
    at(3.5, StepOutput(3, 2, b"oops\n")),
    at(4, StepOutput(3, 1, b"o\nno end")),
    at(6, StepFailed(3, "exit code: 1")),
]


def test_plain() -> None:
    file = io.StringIO()
    renderer = Plain(file)
    for event in EVENTS:
        renderer(event)
    renderer.close()
    assert file.getvalue() == (
        "#1 [1/3] FROM base\n#1 DONE 0.0s\n\n#2 [2/3] COPY a b\n#2 CACHED\nwarning: careful\n\n"
        "#3 [3/3] RUN make\n#3 not cached: a.py changed\n#3 0.500 one\n#3 1.500 oops\n"
        "#3 2.000 two\n#3 4.000 no end\n#3 ERROR: exit code: 1\n"
    )


def test_rawjson() -> None:
    file = io.StringIO()
    renderer = RawJson(file)
    for event in EVENTS:
        renderer(event)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert lines[0] == {
        "event": "StepStarted",
        "moment": 0,
        "number": 1,
        "title": "[1/3] FROM base",
    }
    assert lines[7]["data"] == "one\ntw"
    assert len(lines) == len(EVENTS)


class Screen:
    """What a terminal shows after cursor movements upwards and clearing downwards."""

    def __init__(self, text: str) -> None:
        self.lines: list[str] = []
        for line in text.split("\n"):
            self._line(line)

    def _line(self, line: str) -> None:
        while line.startswith("\x1b["):
            code, _, rest = line[2:].partition("A" if "A" in line[:6] else "J")
            if code.isdigit():
                self.lines = self.lines[: len(self.lines) - int(code)]
            elif code:
                break
            line = rest
        self.lines.append(line)


def drawn(events: list[Event], size: tuple[int, int] = (60, 20)) -> list[str]:
    file = io.StringIO()
    renderer = TtyRenderer(file, size)
    for event in events:
        renderer(event)
    renderer.close()
    plain = file.getvalue()
    for colour in ("\x1b[34m", "\x1b[31m", "\x1b[2m", "\x1b[0m"):
        plain = plain.replace(colour, "")
    return [line.rstrip() for line in Screen(plain).lines if line.strip()]


def test_tty_shows_the_last_state() -> None:
    lines = drawn(EVENTS)
    assert lines[0] == "warning: careful"
    assert lines[1] == "[+] Building 6.0s (3/3)"
    assert lines[2].startswith(" => [1/3] FROM base")
    assert lines[3].startswith(" => CACHED [2/3] COPY a b")
    assert lines[4].startswith(" => ERROR [3/3] RUN make")
    assert lines[4].endswith("4.0s")
    assert lines[5:] == [" => => # one", " => => # oops", " => => # two"]


def test_tty_says_why_a_step_runs() -> None:
    assert "(not cached: a.py changed)" in "\n".join(drawn(EVENTS[:8]))


def test_tty_is_never_higher_or_wider_than_the_terminal() -> None:
    events: list[Event] = []
    for number in range(1, 40):
        events += [
            at(number, StepStarted(number, "RUN " + "x" * 200)),
            at(number, StepDone(number)),
        ]
    lines = drawn(events, (40, 10))
    assert len(lines) <= 9
    assert max(map(len, lines)) <= 40


def test_tty_drops_control_characters() -> None:
    data = b"\x1b[31mred\x1b[0m\x1b[2J\x1b]0;title\x07 tab\there\rover\x08\n"
    lines = drawn([*EVENTS[5:7], at(3, StepOutput(3, 1, data))])
    assert lines[-1] == " => => # over"


def test_the_image_is_named_at_the_end() -> None:
    done = at(7, Exported("sha256:abc", ["docker.io/library/x:1"]))
    file = io.StringIO()
    Plain(file)(done)
    assert file.getvalue() == "\nimage sha256:abc\nnamed docker.io/library/x:1\n"
    assert drawn([*EVENTS[:2], done])[-2:] == ["image sha256:abc", "named docker.io/library/x:1"]


def test_the_reporter_numbers_steps() -> None:
    events: list[Event] = []
    reporter = Reporter(events.append)
    assert [reporter.start("a"), reporter.start("b")] == [1, 2]
    assert [type(event) for event in events] == [StepStarted, StepStarted]


def test_the_kinds() -> None:
    file = io.StringIO()
    assert isinstance(make_renderer("auto", file), Plain)
    assert isinstance(make_renderer("tty", file), TtyRenderer)
    assert isinstance(make_renderer("quiet", file), Quiet)
    assert isinstance(make_renderer("rawjson", file), RawJson)
    with pytest.raises(InvalidInput, match="progress"):
        make_renderer("fancy", file)
