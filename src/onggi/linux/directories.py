"""Making directories that nobody else may write to, whatever the umask is.

os.makedirs gives its mode to the last one alone: those above it are open to all where the umask is
0, and whoever may write there puts something else in its place. To set the umask is no way out, for
it is the whole process's, in which there may be other threads.
"""

from __future__ import annotations

import os


def make(path: str, mode: int) -> None:
    """Make a directory, and those above it for all to read; that it is there is fine.

    Raises: OSError: FileExistsError, something else is there.
    """
    above = os.path.dirname(path.rstrip("/"))
    if above and not os.path.isdir(above):
        make(above, 0o755)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
