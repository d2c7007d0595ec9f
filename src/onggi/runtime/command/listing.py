"""`list`: the containers below the root directory."""

from __future__ import annotations

import sys

from onggi.errors import Corrupt, InvalidInput, NotFound
from onggi.oci import jsontext
from onggi.runtime.command import output, record, status
from onggi.runtime.command.words import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command(
    "",
    0,
    0,
    Option("format", "FORMAT", "table (default) or json", short="f"),
    Option("quiet", "", "Print IDs only", short="q"),
)
_HEADER = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")


def execute(words: Words, runtime: Runtime) -> int:
    """Print the list."""
    form = words.text("format", "table")
    if form not in ("table", "json"):
        raise InvalidInput("invalid format option")
    found = _states(runtime)
    if words.has("quiet"):
        sys.stdout.write("".join(f"{state['id']}\n" for state in found))
    elif form == "json":
        sys.stdout.write(jsontext.dumps(found or None) + "\n")
    else:
        sys.stdout.write(output.table([_HEADER, *map(_row, found)]))
    return 0


def _states(runtime: Runtime) -> list[dict[str, Any]]:
    found = []
    for identifier in record.identifiers(runtime.root):
        try:
            found.append(_described(record.read(runtime.root, identifier), runtime))
        except NotFound:
            continue  # deleted meanwhile
        except Corrupt as error:
            runtime.journal.warn(str(error))
    return found


def _described(known: Record, runtime: Runtime) -> dict[str, Any]:
    """Return the state with the owner's name, which `state` has for others than root alone."""
    state = status.described(known, runtime)
    return {**state, "owner": state["owner"] or "root"}


def _row(state: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(state[name.lower()]) for name in _HEADER)
