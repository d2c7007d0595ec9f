"""The files of a container's log, as they lie."""

import os

from onggi.runtime import log


def files(directory: str) -> list[str]:
    """List the log's files that exist, oldest first."""
    return [path for path in log.names(directory) if os.path.exists(path)]
