"""Steps by which systemd makes and changes the cgroup that a container has."""

from __future__ import annotations

from onggi.linux import cgroup
from onggi.runtime.steps.base import Context, Step, quote
from onggi.runtime.systemd import bus


class StartScope(Step):
    """Have systemd make a scope, a unit for processes that others start.

    A scope cannot be empty, so it is made around a process that only waits. Then the numbers are
    written as for any other container, and its first process is born inside; so they hold before
    it does anything. The one that waits ends when that is there.
    """

    __slots__ = ("paths", "pid", "properties", "unit")

    def __init__(
        self, unit: str, properties: tuple[tuple[str, ...], ...], pid: int, paths: tuple[str, ...]
    ) -> None:
        self.unit = unit
        self.properties = properties
        self.pid = pid  # of the process that waits
        self.paths = paths  # the cgroups that make the container's one, in every hierarchy

    def apply(self, context: Context) -> None:
        bus.start_scope(self.unit, (*self.properties, ("PIDs", "au", "1", str(self.pid))))

    def undo(self) -> None:
        """End the scope, and what we made beside what systemd made."""
        bus.stop(self.unit)
        for path in self.paths:
            cgroup.clear(path)

    def describe(self) -> str:
        return f"have systemd make the scope {self.unit}"

    def shell(self) -> list[str]:
        given = " ".join(
            quote(f"{name}={words[-1]}") for name, _, *words in self.properties if words
        )
        return [f"# systemd-run --scope --unit={quote(self.unit)} {given}"]


class SetScope(Step):
    """Tell systemd what a scope may use from now on, so that it does not write the old numbers."""

    __slots__ = ("properties", "unit")

    def __init__(self, unit: str, properties: tuple[tuple[str, ...], ...]) -> None:
        self.unit = unit
        self.properties = properties

    def apply(self, context: Context) -> None:
        if self.properties:
            bus.set_properties(self.unit, self.properties)

    def describe(self) -> str:
        return f"have systemd change the scope {self.unit}"

    def shell(self) -> list[str]:
        return []  # a script makes containers, and changes none
