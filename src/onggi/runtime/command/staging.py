"""From the plan of a container to that of one made for another program's sake. Pure.

Engines that call a runtime pass streams and descriptors of their own, and may start later what they
create now.
"""

from __future__ import annotations

from onggi.runtime.steps import mounts, process, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.plan.container import Plan
    from onggi.runtime.steps.base import Step

NOBODY = -1

# What confines the program, and so whoever would wait to be it. By name, as few have a profile.
_LAST = ("ConfineProgram", "LoadFilter")


class Stage:
    """What the caller of the runtime asks for, beside the configuration.

    listener_fd: the socket to wait at, or NOBODY to start at once. passed_fds: how many descriptors
    above standard error the program gets. keyring: whether it gets a new session keyring.
    pivot: whether pivot_root can be used. hooks and seccomp: the configuration's. state: the
    container's, for them, without its status. unit: the scope of systemd's that it is to be.
    """

    __slots__ = (
        "hooks",
        "keyring",
        "listener_fd",
        "passed_fds",
        "pivot",
        "seccomp",
        "state",
        "unit",
    )

    def __init__(self, *, passed_fds: int, keyring: bool, listener_fd: int = NOBODY) -> None:
        self.pivot = True
        self.hooks: dict[str, Any] = {}
        self.seccomp: dict[str, Any] = {}
        self.state: dict[str, Any] = {}
        self.unit = ""
        self.listener_fd = listener_fd
        self.passed_fds = passed_fds
        self.keyring = keyring


def set_stage(plan: Plan, stage: Stage) -> None:
    """Change `plan` into what `stage` asks for: its last steps, and hooks among them.

    Source: runtime-spec runtime.md, "Lifecycle"; config.md, "POSIX-platform Hooks".
    """
    plan.program = program_steps(plan.program, stage, terminal=plan.terminal)
    if stage.seccomp.get("listenerPath"):
        _add_listener(plan, stage)
    if stage.hooks:
        _add_hooks(plan, stage)
    if not stage.pivot:
        from onggi.runtime.steps import roots

        plan.container = [
            roots.MoveRoot() if isinstance(step, mounts.PivotRoot) else step
            for step in plan.container
        ]


def _add_listener(plan: Plan, stage: Stage) -> None:
    from onggi.runtime.steps import notify

    plan.listener = notify.Listener(stage.seccomp, {**stage.state, "status": "creating"})
    plan.program = notify.watched(plan.program)


def _add_hooks(plan: Plan, stage: Stage) -> None:
    from onggi.runtime.steps import hooks

    creating, created = ({**stage.state, "status": one} for one in ("creating", "created"))
    execute = plan.program[-1]
    assert isinstance(execute, process.Execute)
    for kind in ("prestart", "createRuntime"):
        plan.hooks += hooks.plan_hooks(stage.hooks, kind, creating)
    before_pivot: list[Step] = [hooks.MeetHost(hooks.HOOKS)] if plan.hooks else []
    # Programs of the host's: what the image sets for its own may have them load what lies in the
    # image, LD_PRELOAD for one (CVE-2025-23266).
    before_pivot += hooks.plan_hooks(stage.hooks, "createContainer", creating)
    _insert(plan.container, mounts.PivotRoot, before_pivot)
    last = hooks.plan_hooks(stage.hooks, "startContainer", created, execute.env)
    # With the program's own rights; where its filter comes last, hooks need not obey that.
    at = -2 if isinstance(plan.program[-2], process.LoadFilter) else -1
    plan.program[at:at] = last


def program_steps(steps: list[Step], stage: Stage, *, terminal: bool) -> list[Step]:
    """Return the last steps, from the session to the program, as `stage` asks for them.

    The process waits before its filter is loaded, which then need not allow what waiting takes.
    """
    *before, last = steps
    assert isinstance(last, process.Execute)
    execute = process.Execute(last.argv, last.env, init=last.init, passed_fds=stage.passed_fds)
    kept = [step for step in before if stage.keyring or not isinstance(step, process.NewKeyring)]
    if not any(entry.startswith("HOME=") for entry in execute.env):
        _insert(kept, process.SwitchUser, [process.FindHome(_uid(kept))])
    if not terminal:
        _insert(kept, process.SwitchUser, [waiting.OwnStreams(_uid(kept))])
    if stage.listener_fd != NOBODY:
        wait = waiting.AwaitStart(stage.listener_fd, stage.passed_fds)
        at = next((i for i, step in enumerate(kept) if type(step).__name__ in _LAST), len(kept))
        kept[at:at] = [waiting.FindProgram(execute), wait]
    return [*kept, execute]


def _uid(steps: list[Step]) -> int:
    return next((step.uid for step in steps if isinstance(step, process.SwitchUser)), 0)


def _insert(steps: list[Step], before: type[Step], more: list[Step]) -> None:
    """Insert `more` before the first step of a kind, or at the end if there is none."""
    at = next((i for i, step in enumerate(steps) if isinstance(step, before)), len(steps))
    steps[at:at] = more
