"""Steps on how a process is scheduled, and what kind of machine it sees."""

from __future__ import annotations

import os

from onggi.linux import process, scheduling
from onggi.runtime.steps.base import Context, Step


class SetScheduler(Step):
    """Choose the policy by which the process gets processors (sched(7))."""

    __slots__ = ("flags", "nice", "policy", "priority", "times")

    def __init__(
        self,
        policy: str,
        *,
        flags: tuple[str, ...] = (),
        nice: int = 0,
        priority: int = 0,
        times: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        self.policy = policy
        self.flags = flags
        self.nice = nice
        self.priority = priority
        self.times = times  # runtime, deadline, period in nanoseconds

    def apply(self, context: Context) -> None:
        scheduling.set_policy(
            context.pid,
            scheduling.POLICIES[self.policy],
            flags=sum(scheduling.POLICY_FLAGS[flag] for flag in set(self.flags)),
            nice=self.nice,
            priority=self.priority,
            times=self.times,
        )

    def describe(self) -> str:
        return f"schedule it by {self.policy}, nice {self.nice}, priority {self.priority}"

    def shell(self) -> list[str]:
        if self.policy == "SCHED_DEADLINE":
            runtime, deadline, period = self.times
            times = f"--sched-runtime {runtime} --sched-deadline {deadline} --sched-period {period}"
            return [f"chrt --deadline {times} --pid 0 $$"]
        option = self.policy.removeprefix("SCHED_").lower()
        lines = [f"chrt --{option} --pid {self.priority} $$"]
        return [*lines, f"renice -n {self.nice} -p $$ >/dev/null"] if self.nice else lines


class SetIoPriority(Step):
    """Set the class and priority of what the process reads and writes."""

    __slots__ = ("io_class", "priority")

    def __init__(self, io_class: str, priority: int) -> None:
        self.io_class = io_class
        self.priority = priority

    def apply(self, context: Context) -> None:
        number = scheduling.IO_CLASSES[self.io_class]
        scheduling.set_io_priority(context.pid, number, self.priority)

    def describe(self) -> str:
        return f"set the I/O priority to {self.io_class} {self.priority}"

    def shell(self) -> list[str]:
        number = scheduling.IO_CLASSES[self.io_class]
        return [f"ionice --class {number} --classdata {self.priority} --pid $$"]


class SetMemoryPolicy(Step):
    """Choose the memory nodes that new pages come from."""

    __slots__ = ("flags", "mode", "nodes")

    def __init__(self, mode: str, nodes: frozenset[int], flags: tuple[str, ...]) -> None:
        self.mode = mode
        self.nodes = nodes
        self.flags = flags

    def apply(self, context: Context) -> None:
        flags = sum(scheduling.MEMORY_FLAGS[flag] for flag in set(self.flags))
        scheduling.set_memory_policy(scheduling.MEMORY_MODES[self.mode] | flags, self.nodes)

    def describe(self) -> str:
        return f"take memory by {self.mode} from nodes {sorted(self.nodes)}"

    def shell(self) -> list[str]:
        return []  # numactl(8) wraps a program; a shell cannot do it for itself


class SetPersonality(Step):
    """Choose the kind of machine that uname(2) tells of, and how memory is laid out.

    The specification knows no flags yet; those of the kernel are taken by the kernel's names.

    Source: personality(2).
    """

    __slots__ = ("domain", "flags")

    def __init__(self, domain: str, flags: tuple[str, ...] = ()) -> None:
        self.domain = domain  # LINUX or LINUX32
        self.flags = flags

    def apply(self, context: Context) -> None:
        domain = process.PER_LINUX32 if self.domain == "LINUX32" else process.PER_LINUX
        flags = sum(scheduling.PERSONALITY_FLAGS[flag] for flag in set(self.flags))
        process.personality(domain | flags)

    def describe(self) -> str:
        return f"choose the personality {' '.join((self.domain, *self.flags))}"

    def shell(self) -> list[str]:
        return []  # setarch(8) wraps a program; a shell cannot do it for itself


class SetAffinity(Step):
    """Run the process on these processors only, until it chooses others."""

    __slots__ = ("cpus",)

    def __init__(self, cpus: frozenset[int]) -> None:
        self.cpus = cpus

    def apply(self, context: Context) -> None:
        os.sched_setaffinity(context.pid, self.cpus)

    def describe(self) -> str:
        return f"run on processors {sorted(self.cpus)}"

    def shell(self) -> list[str]:
        listed = ",".join(map(str, sorted(self.cpus)))
        return [f"taskset --cpu-list --pid {listed} $$ >/dev/null"]
