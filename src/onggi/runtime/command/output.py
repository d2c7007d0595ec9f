"""How answers are written: JSON as runc indents it, and tables. Pure."""

from __future__ import annotations

from onggi.linux.control_characters import one_line
from onggi.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def indented(value: Any, unit: str = "  ", margin: str = "") -> str:
    """Return `value` as JSON with a line for each member (`json.dumps` costs 10 ms to import)."""
    inner = margin + unit
    if isinstance(value, dict) and value:
        lines = [
            f"{inner}{jsontext.dumps(name)}: {indented(one, unit, inner)}"
            for name, one in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, list) and value:
        lines = [inner + indented(one, unit, inner) for one in value]
        return "[\n" + ",\n".join(lines) + f"\n{margin}]"
    return jsontext.dumps(value)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, each column as wide as its widest cell.

    Whatever a cell has that a terminal would obey is spelled.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "".join(f"{line}\n" for line in lines)
