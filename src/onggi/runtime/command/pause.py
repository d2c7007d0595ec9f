"""`pause`: stop all the processes of a container where they are."""

from __future__ import annotations

from onggi.errors import Conflict, Unavailable, Unsupported
from onggi.linux import freezer
from onggi.runtime.command import groups, record
from onggi.runtime.command.words import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command("CONTAINER", 1, 1)


def execute(words: Words, runtime: Runtime) -> int:
    """Freeze the container."""
    (identifier,) = words.arguments
    with record.hold(runtime.root, identifier) as folder:
        known = folder.read()
        if record.status(runtime.root, known) not in (record.CREATED, record.RUNNING):
            raise Conflict("container not running or created")
        try:
            freezer.freeze(group(known))
        except TimeoutError as error:
            raise Unavailable(str(error.strerror)) from error
    return 0


def group(known: Record) -> str:
    """Return the cgroup that freezes a container. Raises: Unsupported: none can."""
    groups.require(known)
    path = freezer.find(known.cgroups)
    if not path:
        raise Unsupported("no cgroup hierarchy of this host can freeze processes")
    return path
