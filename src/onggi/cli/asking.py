"""Asking before what cannot be undone."""

from __future__ import annotations

import sys

from onggi.cli.options import Switch, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.options import Given

FORCE = Switch("force", "f", "Do not ask")


def means_it(given: Given, warning: str) -> bool:
    """Say what would be done, and return whether the user wants it; with --force that is so.

    Raises: UsageError: nobody is there to ask.
    """
    if given.on("force"):
        return True
    if not sys.stdin.isatty():
        raise UsageError("this cannot be undone, and nobody is here to ask", hint="add --force")
    print(warning)
    print("Go on? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
