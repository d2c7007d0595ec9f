"""The file that gets a new container's ID, for whoever started the command."""

from __future__ import annotations

import os

from onggi.cli.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class CidFile:
    """A file made before there is a container, as that may not work; gone if there comes none.

    A context manager. No path: no file.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str | None) -> None:
        self._path = path

    def __enter__(self) -> Self:
        if self._path:
            _claim(self._path)
        return self

    def write(self, identity: str) -> None:
        """Write the container's ID."""
        if self._path:
            with open(self._path, "w", encoding="ascii") as file:
                file.write(identity)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._path and error is not None:
            os.unlink(self._path)


def _claim(path: str) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        raise UsageError(
            f"container ID file {path} exists already",
            hint="its container may be running; remove the file if it is not",
        ) from None
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"cannot make the container ID file {path}: {reason}") from error
