"""Text in columns, aligned as Docker aligns it.

Source: Go's text/tabwriter as docker/cli uses it: cells at least 10 wide, 3 apart, and the last
one of a line as it is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 10
GAP = 3


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line a row; rows may differ in length."""
    widths: list[int] = []
    for row in rows:
        widths += [LEAST] * (len(row) - 1 - len(widths))
        for place, cell in enumerate(row[:-1]):
            widths[place] = max(widths[place], len(cell) + GAP)
    return ["".join([*map(_padded, row[:-1], widths), *row[-1:]]) for row in rows]


def _padded(cell: str, width: int) -> str:
    return cell.ljust(width)


def shortened(text: str, most: int) -> str:
    """Return `text`, or its beginning and an ellipsis when it has more than `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def short_id(identity: str) -> str:
    """Return the twelve digits by which people know a container or an image."""
    return identity.removeprefix("sha256:")[:12]
