"""How making a base image fails."""

from __future__ import annotations

from onggi.errors import OnggiError


class BootstrapFailed(OnggiError):
    """The program that installs packages ended with an error; `lines` are its last words."""

    def __init__(self, source: str, lines: list[str]) -> None:
        reason = lines[-1] if lines else "it gave no reason"
        super().__init__(f"cannot make {source}: {reason}")
        self.source = source
        self.lines = lines
