"""`create`: make a container whose program waits for `start`."""

from __future__ import annotations

from onggi.runtime.command import launching
from onggi.runtime.command.words import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command("CONTAINER", 1, 1, *launching.OPTIONS)


def execute(words: Words, runtime: Runtime) -> int:
    """Create the container."""
    launching.launch(words, runtime, wait=True, console=True)
    return 0
