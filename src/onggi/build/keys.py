"""What a step depends on: its cache key, and in which words a changed key is explained.

A key is made of contents only: the layers below (by diff ID), the instruction, the variables it
sees, the files it takes. It knows neither times nor the steps before, so that a step that was run
again and made the same layer does not make the next one run again.
"""

from __future__ import annotations

import hashlib

from onggi.oci import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Raised when the same inputs begin to give another result.
_VERSION = 1

_FILES_NAMED = 2


class StepInputs:
    """All that one step depends on.

    Attributes:
        instruction: what is done, values in place. parent: the diff IDs below.
        arguments: the ARGs in force. variables: the rest of the environment that RUN sees.
        settings: the rest by name: user, working directory, mounts, epoch.
        files: path -> digest of everything that is taken.
    """

    __slots__ = ("arguments", "files", "instruction", "parent", "settings", "variables")

    def __init__(
        self,
        instruction: str,
        parent: tuple[str, ...],
        *,
        arguments: dict[str, str] | None = None,
        variables: dict[str, str] | None = None,
        settings: dict[str, Any] | None = None,
        files: dict[str, str] | None = None,
    ) -> None:
        self.instruction = instruction
        self.parent = parent
        self.arguments = arguments or {}
        self.variables = variables or {}
        self.settings = settings or {}
        self.files = files or {}

    def to_json(self) -> dict[str, Any]:
        """Return the inputs as JSON values."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        values["parent"] = list(self.parent)
        return values

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> StepInputs:
        """Read what `to_json` returned."""
        return cls(
            value["instruction"],
            tuple(value["parent"]),
            arguments=value["arguments"],
            variables=value["variables"],
            settings=value["settings"],
            files=value["files"],
        )

    def key(self) -> str:
        """Return the digest of all of it, as hex digits."""
        # Names of files need not be UTF-8.
        return hashlib.sha256(jsontext.canonical_ascii([_VERSION, self.to_json()])).hexdigest()


def explain(before: StepInputs | None, now: StepInputs, *, was_made: bool = True) -> str:
    """Say in a few words why `now` is not what was built `before`.

    `was_made` tells, of equal inputs, whether they once became a layer.
    """
    if before is None:
        return "first build of this step"
    if before.instruction != now.instruction:
        return "the instruction changed"
    return (
        _values("build arg", before.arguments, now.arguments)
        or _files(before.files, now.files)
        or _values("variable", before.variables, now.variables)
        or _settings(before.settings, now.settings)
        or ("an earlier step changed" if before.parent != now.parent else "")
        or ("its layer is no longer in the store" if was_made else "it failed the last time")
    )


def _values(kind: str, before: dict[str, str], now: dict[str, str]) -> str:
    for name in sorted({*before, *now}):
        if name not in before:
            return f"{kind} {name} is new"
        if name not in now:
            return f"{kind} {name} is gone"
        if before[name] != now[name]:
            return f"{kind} {name} changed from {_short(before[name])} to {_short(now[name])}"
    return ""


def _files(before: dict[str, str], now: dict[str, str]) -> str:
    changes = []
    for path in sorted({*before, *now}):
        if path not in before:
            changes.append(f"{path} is new")
        elif path not in now:
            changes.append(f"{path} is gone")
        elif before[path] != now[path]:
            changes.append(f"{path} changed")
    # A directory only tells that something in it came or went, which is said anyway.
    shown = ", ".join(changes[:_FILES_NAMED])
    more = len(changes) - _FILES_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _settings(before: dict[str, Any], now: dict[str, Any]) -> str:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, str) and isinstance(new, str):
            return f"{name} changed from {_short(old)} to {_short(new)}"
        return f"{name} changed"
    return ""


def _short(text: str) -> str:
    if not text:
        return "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."
