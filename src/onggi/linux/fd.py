"""Ownership of file descriptors."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Fd:
    """An open file descriptor with one owner, closed when its `with` block ends.

    It may be passed wherever a descriptor number is taken, as it has `__index__` and `fileno`.
    There is no finalizer: what is opened outside a `with` block and neither closed nor taken
    stays open, so that a descriptor never vanishes when a garbage collector pleases.
    """

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        """Take ownership of descriptor `number`."""
        self._number = number

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Tell the number, without giving up ownership.

        Raises: ValueError: it has been closed or taken.
        """
        if self._number < 0:
            raise ValueError("the file descriptor is closed or was given away")
        return self._number

    __index__ = fileno
    __int__ = fileno

    def take(self) -> int:
        """Give up ownership: whoever receives the number closes it."""
        number = self.fileno()
        self._number = -1
        return number

    def close(self) -> None:
        """Close the descriptor if it is still owned; again is fine.

        It is closed even if this raises: close(2) is never repeated, as after EINTR the number
        may already belong to another thread's file.
        """
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def __repr__(self) -> str:
        return f"Fd({self._number})" if self._number >= 0 else "Fd(closed)"
