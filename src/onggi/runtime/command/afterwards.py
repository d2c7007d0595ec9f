"""Hooks that run after a program was started, and after a container has stopped."""

from __future__ import annotations

from onggi.runtime import failure
from onggi.runtime.command import record
from onggi.runtime.steps.base import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime


def run_poststart(config: dict[str, Any], known: Record) -> None:
    """Run the poststart hooks. Raises: StartFailed: one failed; the container is to be stopped.

    Source: runtime-spec runtime.md, "Lifecycle", 9.
    """
    for step in _steps(config, "poststart", known, record.RUNNING):
        failure.apply_steps("hook", [step], _context(known))


def run_poststop(config: dict[str, Any], known: Record, runtime: Runtime) -> None:
    """Run the poststop hooks, all of them; one that fails is warned of.

    Source: runtime-spec runtime.md, "Lifecycle", 13.
    """
    for step in _steps(config, "poststop", known, record.STOPPED):
        try:
            failure.apply_steps("hook", [step], _context(known))
        except failure.StartFailed as failed:
            runtime.journal.warn(failed.text)


def _steps(config: dict[str, Any], kind: str, known: Record, now: str) -> list[Any]:
    listed = config.get("hooks", {})
    if not listed.get(kind):
        return []
    from onggi.runtime.steps import hooks

    return list(hooks.plan_hooks(listed, kind, record.document(known, now)))


def _context(known: Record) -> Context:
    context = Context()
    context.pid = known.pid
    return context
