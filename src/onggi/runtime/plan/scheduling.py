"""Plan how a process is scheduled, and what kind of machine it sees. Pure.

Source: runtime-spec config.md, "Linux Process"; config-linux.md, "Personality", "Memory policy".
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.linux import scheduling as facts
from onggi.resources.cpuset import parse_cpuset
from onggi.runtime.steps import scheduling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from onggi.runtime.steps.base import Step

_REAL_TIME = ("SCHED_FIFO", "SCHED_RR")
_TIMES = ("runtime", "deadline", "period")
_WITHOUT_NODES = ("MPOL_DEFAULT", "MPOL_LOCAL")


def plan_priorities(process: dict[str, Any]) -> list[Step]:
    """Return what the host sets on the process, which may lack the right.

    Raises: InvalidInput.
    """
    steps: list[Step] = []
    if "scheduler" in process:
        steps.append(_scheduler(process["scheduler"]))
    if "ioPriority" in process:
        steps.append(_io_priority(process["ioPriority"]))
    return steps


def plan_machine(linux: dict[str, Any]) -> list[Step]:
    """Return what the process sets on itself. Raises: InvalidInput."""
    steps: list[Step] = []
    if linux.get("memoryPolicy", {}).get("mode"):
        steps.append(_memory_policy(linux["memoryPolicy"]))
    if "personality" in linux:
        personality = linux["personality"]
        domain = personality.get("domain", "LINUX")
        _require(domain, ("LINUX", "LINUX32"), "personality")
        flags = tuple(personality.get("flags", ()))
        for flag in flags:
            _require(flag, facts.PERSONALITY_FLAGS, "personality flag")
        steps.append(scheduling.SetPersonality(domain, flags))
    return steps


def plan_affinity(text: str) -> list[Step]:
    """Return the step for a list of processors such as 0-2,5; none for an empty one."""
    return [scheduling.SetAffinity(parse_cpuset(text.replace(" ", "")))] if text.strip() else []


def _scheduler(asked: dict[str, Any]) -> Step:
    policy, flags = asked["policy"], tuple(asked.get("flags", ()))
    _require(policy, facts.POLICIES, "scheduler policy")
    for flag in flags:
        _require(flag, facts.POLICY_FLAGS, "scheduler flag")
    nice, priority = asked.get("nice", 0), asked.get("priority", 0)
    times = tuple(asked.get(name, 0) for name in _TIMES)
    if not -20 <= nice <= 19:
        raise InvalidInput(f"invalid scheduler.nice: {nice}", hint="from -20 to 19")
    if priority and policy not in _REAL_TIME:
        raise InvalidInput("scheduler.priority can only be specified for SchedFIFO or SchedRR")
    if priority < 0:
        raise InvalidInput(f"invalid scheduler.priority: {priority}")
    if any(times) and policy != "SCHED_DEADLINE":
        raise InvalidInput(
            "scheduler runtime, deadline and period can only be specified for SchedDeadline"
        )
    return scheduling.SetScheduler(
        policy, flags=flags, nice=nice, priority=priority, times=(times[0], times[1], times[2])
    )


def _io_priority(asked: dict[str, Any]) -> Step:
    _require(asked["class"], facts.IO_CLASSES, "ioPriority.class")
    priority = asked.get("priority", 0)
    if not 0 <= priority <= 7:
        raise InvalidInput(f"invalid ioPriority.priority: {priority}", hint="from 0 to 7")
    return scheduling.SetIoPriority(asked["class"], priority)


def _memory_policy(asked: dict[str, Any]) -> Step:
    mode, flags = asked["mode"], tuple(asked.get("flags", ()))
    _require(mode, facts.MEMORY_MODES, "memoryPolicy.mode")
    for flag in flags:
        _require(flag, facts.MEMORY_FLAGS, "memoryPolicy flag")
    nodes = parse_cpuset(asked.get("nodes", ""))
    if mode in _WITHOUT_NODES and (nodes or flags):
        raise InvalidInput(f"{mode} takes neither nodes nor flags")
    if max(nodes, default=0) >= facts.MOST_NODES:
        raise InvalidInput(f"memoryPolicy.nodes: {max(nodes)} is above {facts.MOST_NODES - 1}")
    return scheduling.SetMemoryPolicy(mode, nodes, flags)


def _require(word: str, known: Iterable[str], what: str) -> None:
    if word not in known:
        raise InvalidInput(f"invalid {what} {word!r}", hint=", ".join(known))
