"""Plan what the process is: its limits, identity, rights and program. Pure.

`run` and `exec` share this, so that a process that enters later is as confined as the first.
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.linux import process as facts
from onggi.runtime.steps import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.steps.base import Step


def plan_bounds(spec: dict[str, Any]) -> list[Step]:
    """Return what the host sets on the process, which may lack the right: score and limits."""
    steps: list[Step] = []
    if spec.get("oomScoreAdj") is not None:
        steps.append(process.SetOomScore(spec["oomScoreAdj"]))
    else:
        steps.append(process.EndOomExemption())
    steps += [_plan_limit(limit) for limit in spec.get("rlimits", [])]
    if "scheduler" in spec or "ioPriority" in spec:
        from onggi.runtime.plan import scheduling

        steps += scheduling.plan_priorities(spec)
    return steps


def _plan_limit(limit: dict[str, Any]) -> Step:
    name = limit["type"]
    if name not in facts.RLIMITS:
        raise InvalidInput(f"unknown resource limit {name!r}", hint=", ".join(facts.RLIMITS))
    soft, hard = limit["soft"], limit["hard"]
    if _rank(soft) > _rank(hard):
        raise InvalidInput(f"{name}: the soft limit {soft} is above the hard limit {hard}")
    return process.SetLimit(name, soft, hard)


def _rank(value: int) -> float:
    return float("inf") if value in (-1, 2**64 - 1) else value


def plan_identity(
    spec: dict[str, Any], *, program: bytes, program_flags: int, keyring: str, init: bool
) -> list[Step]:
    """Return the last steps: session, directory, user, capabilities, filter, program.

    With no_new_privs the filter is loaded last, so that it need not allow what the steps before it
    call; without, loading is a privilege itself and comes before any is dropped (seccomp(2)).
    """
    filters: list[Step] = [process.LoadFilter(program, program_flags)] if program else []
    keys, confinement = _plan_confinement(spec)
    filters[:0] = confinement
    restricted = bool(spec.get("noNewPrivileges"))
    steps: list[Step] = [
        *keys,
        process.NewKeyring(keyring),
        process.NewSession(terminal=bool(spec.get("terminal"))),
        process.ChangeDirectory(spec.get("cwd", "/")),
    ]
    if not restricted:
        steps += filters
    steps += _plan_user(spec)
    if restricted:
        steps += [process.NoNewPrivileges(), *filters]
    env = tuple(spec.get("env", ()))
    return [*steps, process.Execute(tuple(spec["args"]), env, init=init)]


def _plan_confinement(spec: dict[str, Any]) -> tuple[list[Step], list[Step]]:
    """Return what a security module does with the new keyring, and then with the program."""
    if not (spec.get("apparmorProfile") or spec.get("selinuxLabel")):
        return [], []
    from onggi.runtime.plan import labels

    return labels.plan_keys(spec), labels.plan_confinement(spec)


def _plan_user(spec: dict[str, Any]) -> list[Step]:
    user = spec.get("user", {})
    capabilities = spec.get("capabilities", {})
    steps: list[Step] = []
    if user.get("umask") is not None:
        steps.append(process.SetUmask(user["umask"]))
    return [
        *steps,
        process.LimitBoundingSet(tuple(capabilities.get("bounding", ()))),
        process.SwitchUser(
            user.get("uid", 0), user.get("gid", 0), tuple(user.get("additionalGids", ()))
        ),
        process.SetCapabilities(
            effective=tuple(capabilities.get("effective", ())),
            permitted=tuple(capabilities.get("permitted", ())),
            inheritable=tuple(capabilities.get("inheritable", ())),
            ambient=tuple(capabilities.get("ambient", ())),
        ),
    ]
