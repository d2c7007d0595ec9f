"""`run`: create a container, start it, wait for its end and remove it; or leave it running."""

from __future__ import annotations

from onggi.errors import NotFound
from onggi.runtime.command import begin, delete, foreground, launching, record
from onggi.runtime.command.words import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command(
    "CONTAINER",
    1,
    1,
    *launching.OPTIONS,
    Option("detach", "", "Leave the container running, and end", short="d"),
    Option("keep", "", "Do not remove the container when it has stopped"),
)


def execute(words: Words, runtime: Runtime) -> int:
    """Run the container; return the exit status of its program, or 0 when it is left running."""
    detach = words.has("detach")
    started, known = launching.launch(words, runtime, wait=False, console=detach)
    _tell_started(known, runtime)
    if detach:
        return 0
    code = foreground.wait(started)
    if not words.has("keep"):
        remove(known, runtime)
    return code


def remove(known: Record, runtime: Runtime) -> None:
    """Remove a container that has stopped, unless somebody else did."""
    try:
        with record.hold(runtime.root, known.id) as folder:
            delete.remove(folder, folder.read(), runtime)
    except NotFound:
        pass  # somebody deleted it by force, which is why it ended


def _tell_started(known: Record, runtime: Runtime) -> None:
    """Run the hooks for a program that runs; if one fails, the container is ended and removed."""
    try:
        begin.tell_started(record.config(runtime.root, known.id), known)
    except BaseException:
        with record.hold(runtime.root, known.id) as folder:
            delete.remove(folder, known, runtime)
        raise
