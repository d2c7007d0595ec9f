"""`ps`: the processes of a container, as the host sees them."""

from __future__ import annotations

import os
import sys

from onggi.errors import InvalidInput, Unsupported
from onggi.oci import jsontext
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
_PS = ("/bin/ps", "/usr/bin/ps")


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
    header, *lines = _run_ps(options or ["-ef"]).splitlines()
    column = _pid_column(header)
    wanted = set(map(str, pids))
    sys.stdout.write(f"{header}\n")
    for line in lines:
        if line.split()[column : column + 1] and line.split()[column] in wanted:
            sys.stdout.write(f"{line}\n")
    return 0


def _pid_column(header: str) -> int:
    try:
        return header.split().index("PID")
    except ValueError:
        raise InvalidInput("couldn't find PID field in ps output") from None


def _run_ps(options: list[str]) -> str:
    program = next(filter(os.path.exists, _PS), "")
    if not program:
        raise Unsupported("this host has no ps(1)", hint="--format json needs none")
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.posix_spawn(
        program, ["ps", *options], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)]
    )
    os.close(writer)
    with open(reader, encoding="utf-8", errors="surrogateescape") as output:
        text = output.read()
    status = os.waitpid(pid, 0)[1]
    if status or not text:
        raise InvalidInput(
            f"ps {' '.join(options)}: exit status {os.waitstatus_to_exitcode(status)}"
        )
    return text
