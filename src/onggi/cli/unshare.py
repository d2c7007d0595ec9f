"""`onggi unshare`."""

from __future__ import annotations

import os
import signal

from onggi.cli.options import Command
from onggi.engine.ahead import is_root, ready_to_mount
from onggi.errors import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.cli.options import Given

_CANNOT_EXECUTE, _NOT_FOUND = 126, 127

COMMAND = Command(
    arguments="[COMMAND] [ARG...]",
    most=None,
    interspersed=False,
    description="Runs COMMAND, or a shell, in the user namespace of an ordinary user's store: as "
    "root there, who owns what containers wrote, and may mount what containers mount. Whoever is "
    "root has no such namespace.",
    examples=(
        ("onggi unshare cat /proc/self/uid_map", "which IDs containers have"),
        ("onggi run --explain busybox true | onggi unshare sh", "run what explain prints"),
    ),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Become the program, in the namespace; return only if it could not be executed."""
    if is_root():
        raise Conflict("root needs no namespace to be root in", hint="run the program itself")
    ready_to_mount(invocation.root)
    words = given.arguments or [os.environ.get("SHELL", "/bin/sh")]
    return _become(words, invocation)


def _become(words: list[str], invocation: Invocation) -> int:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # which Python ignores, and a program expects
    try:
        os.execvp(words[0], words)
    except OSError as error:
        invocation.complain(error)
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _CANNOT_EXECUTE
