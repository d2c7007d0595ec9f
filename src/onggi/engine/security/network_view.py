"""Looking at /proc/sys/net and /sys as somebody in another network namespace would see them.

Which parameters there are depends on who looks. The look is taken by a thread that has a network
namespace of its own and ends with the look.
"""

from __future__ import annotations

import os

from onggi.engine.aside import aside
from onggi.linux import namespace
from onggi.linux.fd import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")


def seen_from(path: str, look: Callable[[], T]) -> T:
    """Call `look` in the network namespace at `path`; "new" is one that nobody else is in.

    Args: path: "" for the caller's.
    """
    if not path:
        return look()

    def there() -> T:
        _enter(path)
        return look()

    return aside(there)


def _enter(path: str) -> None:
    if path == "new":
        namespace.unshare(namespace.CLONE_NEWNET)
        return
    with Fd(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as there:
        namespace.setns(there, namespace.CLONE_NEWNET)
