"""`resume`: let the processes of a paused container go on."""

from __future__ import annotations

from onggi.errors import Conflict
from onggi.linux import freezer
from onggi.runtime.command import pause, record
from onggi.runtime.command.words import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command("CONTAINER", 1, 1)


def execute(words: Words, runtime: Runtime) -> int:
    """Thaw the container."""
    (identifier,) = words.arguments
    with record.hold(runtime.root, identifier) as folder:
        known = folder.read()
        if record.status(runtime.root, known) != record.PAUSED:
            raise Conflict("container not paused")
        freezer.thaw(pause.group(known))
    return 0
