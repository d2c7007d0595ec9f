"""What every command of the runtime is given beside its own words."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.journal import Journal

NAME = "onggi-runtime"


class Runtime:
    """The global options. root: where containers are remembered."""

    __slots__ = ("journal", "root")

    def __init__(self, *, root: str, journal: Journal) -> None:
        self.root = root
        self.journal = journal


def default_root() -> str:
    """Return where containers are remembered unless another place is named.

    Below /run, for a reboot ends them all; a user's own place for others than root.
    """
    base = "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/run")
    return f"{base}/{NAME}"
