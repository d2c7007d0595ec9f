"""The processes of a container, as the host's ps(1) shows them.

Source: docker container top; moby daemon/top_unix.go.
"""

from __future__ import annotations

import os

from onggi.engine import cgroups
from onggi.linux import cgroup
from onggi.runtime import process_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.container import Container


def processes(container: Container, options: list[str]) -> dict[str, Any]:
    """Return the titles of ps's columns and, for each process, what stands below them.

    Raises: Conflict: it does not run; InvalidInput: ps refuses the options.
    """
    pid = container.require_running().pid
    header, *lines = process_table.lines(_pids(container, pid), options)
    titles = header.split()
    # The last column may have spaces in it: a command with its arguments.
    return {"Titles": titles, "Processes": [_columns(line, len(titles)) for line in lines]}


def _columns(line: str, count: int) -> list[str]:
    return line.split(None, count - 1)


def _pids(container: Container, pid: int) -> list[int]:
    paths = [path for _, path in cgroups.directories(container.id, container.record, pid)]
    return cgroup.tree_processes(paths[0]) if paths else _of_namespace(pid)


def _of_namespace(pid: int) -> list[int]:
    """Return the processes in the PID namespace of a container without control groups."""
    own = os.stat(f"/proc/{pid}/ns/pid").st_ino
    found = []
    for other in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{other}/ns/pid").st_ino == own:
                found.append(int(other))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended just now, or is somebody else's
    return found
