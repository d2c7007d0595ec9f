"""Steps that give a container its share of caches and memory bandwidth."""

from __future__ import annotations

import os

from onggi.linux import cgroup
from onggi.runtime.steps.base import Context, Step, quote


class MakeResctrlGroup(Step):
    """Make a class of service, or a group that is measured apart."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        os.mkdir(self.path, 0o755)

    def undo(self) -> None:
        """Remove it again."""
        remove(self.path)

    def describe(self) -> str:
        return f"make {self.path}"

    def shell(self) -> list[str]:
        return [f"mkdir {quote(self.path)}"]


def remove(path: str) -> None:
    """Remove a group; gone already is fine. Its threads go on in the one above."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass  # whoever shares the machine out anew took it away


class WriteSchemata(Step):
    """Say how much of each resource a class of service has; a line at a time, in order."""

    __slots__ = ("lines", "path")

    def __init__(self, path: str, lines: tuple[str, ...]) -> None:
        self.path = path
        self.lines = lines

    def apply(self, context: Context) -> None:
        for line in self.lines:
            cgroup.write(f"{self.path}/schemata", f"{line}\n")

    def describe(self) -> str:
        return f"set {self.path}/schemata to {', '.join(self.lines)}"

    def shell(self) -> list[str]:
        return [f"echo {quote(line)} > {quote(self.path)}/schemata" for line in self.lines]


class JoinResctrlGroup(Step):
    """Enter a group, which whatever this process becomes stays in."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        cgroup.write(f"{self.path}/tasks", "0")

    def describe(self) -> str:
        return f"enter {self.path}"

    def shell(self) -> list[str]:
        return [f"echo 0 > {quote(self.path)}/tasks"]
