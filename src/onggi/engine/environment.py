"""Environment variables as people and images write them: `NAME=value`, or `NAME` alone to unset.

Source: moby container/env.go, ReplaceOrAppendEnvValues.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def merged(*sources: Iterable[str]) -> dict[str, str]:
    """Return the variables that are left when each source has had its say, the last one last."""
    values: dict[str, str] = {}
    for source in sources:
        for entry in source:
            name, equals, value = entry.partition("=")
            if equals:
                values[name] = value
            else:
                values.pop(name, None)
    return values


def assignments(values: Mapping[str, str]) -> list[str]:
    """Return variables as execve(2) takes them."""
    return [f"{name}={value}" for name, value in values.items()]
