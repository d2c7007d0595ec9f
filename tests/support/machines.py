"""Hosts as the resource rules see them, without looking at a real one."""

from typing import Any

from onggi.resources.host import Host

CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids", "io"})
_FILES = frozenset({"cpu.max", "memory.swap.max", "io.max", "io.weight", "io.bfq.weight"})


def machine(**differences: Any) -> Host:
    """Return a host of two processors on cgroup v2 that can do everything but what is named."""
    facts: dict[str, Any] = {
        "processors": 2,
        "cpus": frozenset({0, 1}),
        "mems": frozenset({0}),
        "controllers": CONTROLLERS,
        "files": _FILES,
        "v2_memory": True,
    }
    return Host(**{**facts, **differences})
