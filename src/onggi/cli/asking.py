"""Asking before what cannot be undone."""

from __future__ import annotations

import sys

from onggi.cli.options import UsageError


def means_it(warning: str) -> bool:
    """Say what would be done, and return whether the user wants it.

    Raises: UsageError: nobody is there to ask.
    """
    if not sys.stdin.isatty():
        raise UsageError("this cannot be undone, and nobody is here to ask", hint="add --force")
    print(warning)
    print("Go on? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
