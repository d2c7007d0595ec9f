"""`ps`: the processes of a container, as the host sees them."""

from __future__ import annotations

import sys

from onggi.errors import InvalidInput
from onggi.oci import jsontext
from onggi.runtime import process_table
from onggi.runtime.command import kill, record
from onggi.runtime.command.words import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command(
    "CONTAINER [PS-OPTION...]",
    1,
    None,
    Option("format", "FORMAT", "table (default) or json", short="f"),
    interspersed=False,
)


def execute(words: Words, runtime: Runtime) -> int:
    """Print the processes: their PIDs as JSON, or the lines of ps(1) about them."""
    identifier, *options = words.arguments
    form = words.text("format", "table")
    if form not in ("table", "json"):
        raise InvalidInput("invalid format option")
    pids = kill.members(record.read(runtime.root, identifier))
    if form == "json":
        sys.stdout.write(jsontext.dumps(pids or None) + "\n")
        return 0
    sys.stdout.writelines(f"{line}\n" for line in process_table.lines(pids, options))
    return 0
