"""`checkpoint` and `restore`: refused, in words that engines can show."""

from __future__ import annotations

from onggi.errors import Unsupported
from onggi.runtime.command import record
from onggi.runtime.command.words import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

_TAKEN = ("image-path", "work-path", "parent-path", "page-server", "manage-cgroups-mode")
_TAKEN_TOO = ("status-fd", "empty-ns", "lsm-profile", "lsm-mount-context", "bundle", "pid-file")
_SWITCHES = ("leave-running", "tcp-established", "ext-unix-sk", "shell-job", "lazy-pages")
_SWITCHES_TOO = ("file-locks", "pre-dump", "auto-dedup", "detach", "no-pivot", "no-subreaper")

COMMAND = Command(
    "CONTAINER",
    1,
    1,
    *(Option(name, "VALUE") for name in (*_TAKEN, *_TAKEN_TOO, "console-socket")),
    *(Option(name) for name in (*_SWITCHES, *_SWITCHES_TOO)),
)


def execute(words: Words, _runtime: Runtime) -> int:
    """Refuse. Raises: Unsupported; InvalidInput: the ID is no name."""
    record.require_identifier(words.arguments[0])
    raise Unsupported("checkpoint and restore are not supported")
