"""Where tests keep stores: in memory if that will do, for it is several times as fast."""

import functools
import os
import tempfile
from pathlib import Path

MEMORY = "/dev/shm"


@functools.cache
def store_parent() -> str | None:
    """Return the directory for stores, or None for where temporary files are kept anyway.

    Memory does where it keeps users' attributes, as tmpfs does since Linux 6.6; since 6.3 it shows
    other owners, too. On older kernels these are the disk's.
    """
    if chosen := os.environ.get("TMPDIR"):
        return chosen
    return MEMORY if os.access(MEMORY, os.W_OK) and _keeps_attributes(MEMORY) else None


def _keeps_attributes(directory: str) -> bool:
    with tempfile.NamedTemporaryFile(prefix="onggi-test-", dir=directory) as file:
        try:
            os.setxattr(Path(file.name), "user.test", b"1")
        except OSError:
            return False
    return True
