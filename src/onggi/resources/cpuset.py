"""Lists of processors and memory nodes, as the kernel writes them: `0-2,7`.

Source: cpuset(7), "List format".
"""

from __future__ import annotations

from onggi.errors import InvalidInput

# No kernel has more (CONFIG_NR_CPUS is at most 8192); keeps `0-999999999` from being expanded.
LARGEST_MEMBER = 8191


def parse_cpuset(text: str) -> frozenset[int]:
    """Read `0-2,7` as {0, 1, 2, 7}; an empty text is the empty set.

    Raises: InvalidInput: it is no such list.
    """
    members: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        members.update(_range(part, text))
    return frozenset(members)


def format_cpuset(members: frozenset[int]) -> str:
    """Write {0, 1, 2, 7} as `0-2,7`."""
    runs: list[list[int]] = []
    for member in sorted(members):
        if runs and runs[-1][1] == member - 1:
            runs[-1][1] = member
        else:
            runs.append([member, member])
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in runs)


def _range(part: str, text: str) -> range:
    low, dash, high = part.partition("-")
    bounds = (low, high) if dash else (low, low)
    if not all(bound.isascii() and bound.isdigit() and len(bound) <= 6 for bound in bounds):
        raise InvalidInput(f"invalid cpuset list: '{text}'", hint="numbers and ranges, like 0-2,7")
    first, last = int(bounds[0]), int(bounds[1])
    if first > last or last > LARGEST_MEMBER:
        raise InvalidInput(f"invalid cpuset range '{part}' in '{text}'")
    return range(first, last + 1)
