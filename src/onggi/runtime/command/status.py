"""`state`: print what a container is and does, as the specification has it."""

from __future__ import annotations

import sys

from onggi.runtime.command import output, record
from onggi.runtime.command.words import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command("CONTAINER", 1, 1)


def execute(words: Words, runtime: Runtime) -> int:
    """Print the state."""
    (identifier,) = words.arguments
    known = record.read(runtime.root, identifier)
    sys.stdout.write(output.indented(described(known, runtime)) + "\n")
    return 0


def described(known: Record, runtime: Runtime) -> dict[str, Any]:
    """Return the state with what runc adds to the specification's members."""
    state = record.document(known, record.status(runtime.root, known))
    annotations = state.pop("annotations", None)
    state |= {"rootfs": known.rootfs, "created": known.created}
    if annotations:
        state["annotations"] = annotations
    return {**state, "owner": "" if known.owner == 0 else str(known.owner)}
