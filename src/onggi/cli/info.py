"""`onggi info`."""

from __future__ import annotations

import sys

from onggi.cli.options import Command, Given, Section, Text
from onggi.cli.output.human import binary_size
from onggi.cli.output.listing import number_of, texts_of
from onggi.cli.output.template import Template, go_text, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from onggi.cli.invocation import Invocation
    from onggi.cli.output.listing import Record

COMMAND = Command(
    description="Shows what this host offers to containers, and what is in use: the kernel, which "
    "control groups there are and in which version, where everything is kept. What the host lacks "
    "is said on standard error.",
    sections=(Section("Options", Text("format", "f", "FORMAT", 'Print as "json", or a template')),),
    examples=(("onggi info -f '{{.CgroupVersion}}'", "one fact"),),
)

# What is shown, in this order: how far it is set in, what people call it, and the fact's name.
LINES = (
    ("", "Containers", "Containers"),
    (" ", "Running", "ContainersRunning"),
    (" ", "Paused", "ContainersPaused"),
    (" ", "Stopped", "ContainersStopped"),
    ("", "Images", "Images"),
    ("", "Onggi Version", "ServerVersion"),
    ("", "Root Directory", "DockerRootDir"),
    ("", "Storage Driver", "Driver"),
    ("", "Cgroup Version", "CgroupVersion"),
    ("", "Security Options", "SecurityOptions"),
    ("", "Rootless", "Rootless"),
    (" ", "IDs", "IDMappings"),
    ("", "Kernel Version", "KernelVersion"),
    ("", "Operating System", "OperatingSystem"),
    ("", "Architecture", "Architecture"),
    ("", "CPUs", "NCPU"),
    ("", "Total Memory", "MemTotal"),
    ("", "Name", "Name"),
)

_EXTENT = ("container_id", "host_id", "size")


def execute(given: Given, invocation: Invocation) -> int:
    """Print the facts."""
    facts = invocation.engine.system.info()
    style = given.text("format")
    if style:
        print(to_json(facts) if style == "json" else Template(style).render(facts))
        return 0
    for line in _lines(facts):
        print(line)
    for warning in texts_of(facts, "Warnings"):
        print(f"WARNING: {warning}", file=sys.stderr)
    return 0


def _lines(facts: Record) -> Iterator[str]:
    for indent, name, key in LINES:
        if key in facts:
            yield f"{indent}{name}: {_value(facts, key)}"


def _mappings(maps: Any) -> str:
    """Say which IDs inside are which on the host, as in `users 0=1000, 1-65536=100000-165535`."""
    kinds = (("users", "uidmap"), ("groups", "gidmap"))
    return "; ".join(f"{name} {', '.join(map(_extent, maps[key]))}" for name, key in kinds)


def _extent(line: Record) -> str:
    inside, outside, size = (int(number_of(line, key)) for key in _EXTENT)
    more = size - 1
    if not more:
        return f"{inside}={outside}"
    return f"{inside}-{inside + more}={outside}-{outside + more}"


def _value(facts: Record, key: str) -> str:
    if key == "MemTotal":
        return binary_size(number_of(facts, key))
    value = facts[key]
    if key == "IDMappings":
        return _mappings(facts[key])
    return ", ".join(map(str, value)) if isinstance(value, list) else go_text(value)
