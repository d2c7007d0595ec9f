"""What ps(1) of the host says of some processes: the columns that the caller asks for.

Source: docker container top; moby daemon/top_unix.go, parsePSOutput.
"""

from __future__ import annotations

import os

from onggi.errors import InvalidInput, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PROGRAMS = ("/bin/ps", "/usr/bin/ps")
_USUAL = ("-ef",)


def lines(pids: Iterable[int], options: list[str]) -> list[str]:
    """Return the header of ps's output and its lines about `pids`; without options, of `ps -ef`.

    Raises: InvalidInput: ps refuses the options, or prints no PID column; Unsupported: no ps here.
    """
    header, *rest = _output(options or list(_USUAL)).splitlines()
    column = _pid_column(header)
    wanted = set(map(str, pids))
    return [header, *(line for line in rest if wanted & set(line.split()[column : column + 1]))]


def _pid_column(header: str) -> int:
    try:
        return header.split().index("PID")
    except ValueError:
        raise InvalidInput("couldn't find PID field in ps output") from None


def _output(options: list[str]) -> str:
    program = next(filter(os.path.exists, _PROGRAMS), "")
    if not program:
        raise Unsupported("this host has no ps(1)")
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.posix_spawn(
            program, ["ps", *options], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)]
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    with open(reader, encoding="utf-8", errors="surrogateescape") as output:
        text = output.read()
    status = os.waitpid(pid, 0)[1]
    if status or not text:
        raise InvalidInput(
            f"ps {' '.join(options)}: exit status {os.waitstatus_to_exitcode(status)}"
        )
    return text
