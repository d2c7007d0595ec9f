"""Containers whose control groups systemd makes: where they lie, and who holds the place open."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 6 ms, and this is all of it
import os

from onggi.linux import process
from onggi.runtime.plan import scope
from onggi.runtime.systemd import bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from onggi.runtime.plan.container import Plan


def choose(linux: dict[str, Any], identifier: str) -> str:
    """Return the scope that `linux` names, and put its path there, as for any other cgroup.

    Raises: Unsupported: systemd does not run; InvalidInput: the path has another form.
    """
    unit = scope.read_unit(linux.get("cgroupsPath", ""), identifier)
    bus.require_systemd()
    linux["cgroupsPath"] = unit.path
    return unit.name


class Placeholder:
    """A process that waits in a scope until there is another; a context manager."""

    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            _wait_for_ever()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            os.kill(self.pid, _signal.SIGKILL)
        finally:
            os.waitpid(self.pid, 0)


def _wait_for_ever() -> None:
    """Wait to be killed, by whoever forked us or with it."""
    try:
        process.set_pdeathsig(_signal.SIGKILL)
        while True:
            _signal.pause()
    finally:
        os._exit(1)


def add(plan: Plan, name: str, config: dict[str, Any], pid: int) -> None:
    """Have the plan begin with the scope, made around process `pid`."""
    above = config["linux"]["cgroupsPath"].rpartition("/")[0]
    slice_ = above.rpartition("/")[2] or "-.slice"
    scope.add_scope(plan, scope.Unit(name, slice_), config, pid)
