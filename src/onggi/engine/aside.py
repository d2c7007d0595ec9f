"""A thread of its own for who wants other namespaces for a moment.

setns(2) and unshare(2) change the calling thread alone, where they don't ask for user or PID
namespaces, and what was changed ends with the thread: nobody has to find the way back.
"""

from __future__ import annotations

from threading import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


def aside(call: Callable[[], T]) -> T:
    """Return what `call` returns in a thread of its own, or raise what it raises."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001  it is raised again, where it is waited for
            failures.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
