"""How a container is asked to end, as `stop` and `restart` take it."""

from __future__ import annotations

from onggi.cli.options import Section, Text, Whole
from onggi.cli.signal_names import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.options import Given

OPTIONS = Section(
    "Options",
    Text("signal", "s", "SIGNAL", "Send this signal first"),
    Whole("timeout", "t", "SECONDS", "Wait so long before killing; 10 when nobody said"),
    Whole("time", "", "SECONDS", "The same, as older Docker spells it"),
)


def signal(given: Given) -> int | None:
    """Return the signal to begin with; None is the container's own."""
    raw = given.text("signal")
    return signal_number(raw) if raw else None


def seconds(given: Given) -> int | None:
    """Return how long to wait; None is the container's own time."""
    timeout = given.number("timeout")
    return given.number("time") if timeout is None else timeout
