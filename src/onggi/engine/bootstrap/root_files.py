"""Files of a new root, as every kind of root writes them."""

from __future__ import annotations

import os


def write(directory: str, name: str, text: str = "", mode: int = 0o644) -> None:
    """Write a file of a root; whatever was there, a link too, is replaced."""
    path = f"{directory}/{name}"
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)


def write_identity(directory: str) -> None:
    """Leave empty what every container gets from its engine: no host's names are in an image."""
    for name in ("hostname", "hosts", "resolv.conf"):
        write(directory, f"etc/{name}")
