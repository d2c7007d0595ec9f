"""Asking for a whole file system's data to be on the disk."""

from __future__ import annotations

from onggi.linux._abi import bind, c_int, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import SupportsIndex

_syncfs = bind("syncfs", c_int)


def syncfs(fd: SupportsIndex) -> None:
    """Write back what the file system that holds the open file `fd` still has in memory.

    One call for a tree of many files, where an fsync(2) of each would take far longer.

    Raises: OSError: EIO, ENOSPC, EDQUOT: some of it could not be written (since Linux 5.8).
    Source: syncfs(2).
    """
    check(_syncfs(fd), "syncfs")
