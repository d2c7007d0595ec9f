"""/etc/subuid and /etc/subgid: which further IDs belong to whom. Source: subuid(5)."""

from __future__ import annotations

FILES = ("/etc/subuid", "/etc/subgid")


def ranges(path: str) -> dict[str, list[tuple[int, int]]]:
    """Return the (first ID, how many) of each owner, a name or a number.

    Lines that are not `name:first:count` are passed over, as shadow does.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        name, *numbers = line.strip().split(":")
        if len(numbers) == 2 and all(one.isascii() and one.isdigit() for one in numbers):
            found.setdefault(name, []).append((int(numbers[0]), int(numbers[1])))
    return found
