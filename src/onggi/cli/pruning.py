"""What the commands that prune have in common."""

from __future__ import annotations

import time

from onggi.cli import moments, pairs
from onggi.cli.options import Texts
from onggi.cli.output.human import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from onggi.cli.options import Given

_SECOND = 1_000_000_000
FILTER = Texts("filter", "", "NAME=VALUE", "Only those with this label, label! or until TIME")


def conditions(given: Given) -> dict[str, list[str]]:
    """Return `--filter` as the engine takes it, moments in seconds since 1970."""
    found = pairs.filters(given.texts("filter"))
    now = time.time_ns()
    for at, raw in enumerate(found.get("until", ())):
        found["until"][at] = str(moments.moment("--filter until", raw, now) / _SECOND)
    return found


def tell(kind: str, removed: Iterable[str]) -> None:
    """Print what was removed, a line each, if anything was."""
    lines = "".join(f"{line}\n" for line in removed)
    if lines:
        print(f"Deleted {kind}:\n{lines}")


def tell_freed(count: int) -> None:
    """Print how many bytes that freed."""
    print(f"Total reclaimed space: {size(count)}")
