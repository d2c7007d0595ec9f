"""What every command of the runtime is given beside its own words."""

from __future__ import annotations

import os

from onggi.errors import Denied, InvalidInput
from onggi.linux import user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.runtime.command.journal import Journal

NAME = "onggi-runtime"


class Runtime:
    """The global options.

    root: where containers are remembered, or "" for the default. groups: whether they get control
    groups, where that can be had. systemd: whether that makes those of new ones; who made those of
    one that exists is remembered. criu: its name or path.
    """

    __slots__ = ("_is_proven", "_root", "criu", "groups", "journal", "systemd")

    def __init__(
        self,
        *,
        root: str,
        journal: Journal,
        groups: bool = True,
        systemd: bool = False,
        criu: str = "criu",
    ) -> None:
        self.criu = criu
        self.groups = groups
        self._is_proven = False
        self._root = root
        self.systemd = systemd
        self.journal = journal

    @property
    def root(self) -> str:
        """Where containers are remembered: asked by commands that remember some, not by `spec`.

        Raises: InvalidInput: nothing says where that is; Denied: others may write there.
        """
        if not self._is_proven:
            self._root = self._root or _default_root()
            _require_own(self._root)
            self._is_proven = True
        return self._root


def _default_root() -> str:
    """Return where containers are remembered unless another place is named.

    Below /run, for a reboot ends them all; others than the host's root have a place of their own
    for that, by the XDG Base Directory Specification.

    Raises: InvalidInput: nothing says where that is.
    """
    if os.geteuid() == 0 and user_namespace.is_first():
        return f"/run/{NAME}"
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not base:
        raise InvalidInput(
            "there is no place to remember containers in", hint="--root DIR, or set XDG_RUNTIME_DIR"
        )
    return f"{base}/{NAME}"


def _require_own(root: str) -> None:
    """Refuse to read or keep records where another user could write what we then do.

    Raises: Denied.
    """
    try:
        status = os.stat(root)
    except FileNotFoundError:
        return  # it is made, then, as nobody else's
    if status.st_uid != os.geteuid():
        raise Denied(f"{root} belongs to another user")
    if status.st_mode & 0o022:
        raise Denied(f"{root} can be written by others", hint="--root takes a directory of yours")
