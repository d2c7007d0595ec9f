"""`update`: change what a container may use, while it runs."""

from __future__ import annotations

import sys

from onggi.errors import Conflict, InvalidInput, Unsupported
from onggi.linux import cgroup
from onggi.resources import change, host, settings
from onggi.resources.spelling import parse_memory_swap, parse_size
from onggi.runtime import rights
from onggi.runtime.command import bundle, groups, record, schema
from onggi.runtime.command.words import Command, Option, UsageError
from onggi.runtime.steps.base import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from onggi.linux.cgroup import Hierarchy
    from onggi.resources.setting import Setting
    from onggi.runtime.command.record import Record
    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words
    from onggi.runtime.steps.base import Step

COMMAND = Command(
    "CONTAINER",
    1,
    1,
    Option("resources", "FILE", "The resources as JSON; - is standard input", short="r"),
    Option("blkio-weight", "N", "Weight of block I/O, 10 to 1000"),
    Option("cpu-period", "MICROSECONDS", "Period of the processor quota"),
    Option("cpu-quota", "MICROSECONDS", "Processor time in each period"),
    Option("cpu-burst", "MICROSECONDS", "Unused quota that may be saved"),
    Option("cpu-share", "N", "Share of the processors when they are short"),
    Option("cpu-rt-period", "MICROSECONDS", "Period of real-time processes"),
    Option("cpu-rt-runtime", "MICROSECONDS", "Time of real-time processes in each period"),
    Option("cpu-idle", "0|1", "Run only when nobody else wants the processor"),
    Option("cpuset-cpus", "LIST", "Processors to use"),
    Option("cpuset-mems", "LIST", "Memory nodes to use"),
    Option("memory", "BYTES", "Limit on memory"),
    Option("memory-reservation", "BYTES", "Memory that is kept when the host runs short"),
    Option("memory-swap", "BYTES", "Limit on memory and swap together; -1: none"),
    Option("kernel-memory", "BYTES", "Accepted: the kernel has no such limit any more"),
    Option("kernel-memory-tcp", "BYTES", "Limit on buffers of TCP connections"),
    Option("pids-limit", "N", "Limit on processes and threads; -1: none"),
    Option("l3-cache-schema", "TEXT", "Share of the L3 cache, as in resctrl"),
    Option("mem-bw-schema", "TEXT", "Share of the memory's bandwidth, as in resctrl"),
)


def _integer(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19):
        raise InvalidInput(f"{text!r} is not a whole number")
    return int(text)


# option -> (part of linux.resources, member, how it is read)
_MEMBERS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "blkio-weight": ("blockIO", "weight", _integer),
    "cpu-period": ("cpu", "period", _integer),
    "cpu-quota": ("cpu", "quota", _integer),
    "cpu-burst": ("cpu", "burst", _integer),
    "cpu-share": ("cpu", "shares", _integer),
    "cpu-rt-period": ("cpu", "realtimePeriod", _integer),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime", _integer),
    "cpu-idle": ("cpu", "idle", _integer),
    "cpuset-cpus": ("cpu", "cpus", str),
    "cpuset-mems": ("cpu", "mems", str),
    "memory": ("memory", "limit", parse_memory_swap),
    "memory-reservation": ("memory", "reservation", parse_memory_swap),
    "memory-swap": ("memory", "swap", parse_memory_swap),
    "kernel-memory-tcp": ("memory", "kernelTCP", parse_size),
    "pids-limit": ("pids", "limit", _integer),
}


def execute(words: Words, runtime: Runtime) -> int:
    """Change the limits, and remember them."""
    (identifier,) = words.arguments
    wanted = _wanted(words)
    with record.hold(runtime.root, identifier) as folder:
        known = folder.read()
        if record.status(runtime.root, known) in (record.STOPPED, record.CREATING):
            raise Conflict("container not running")
        config = folder.config()
        changed = _merged(config["linux"].get("resources", {}), wanted)
        directories = groups.directories(known)
        hierarchies = [hierarchy for hierarchy, _ in directories]
        planned = _settings(changed, hierarchies)
        steps = _plan_devices(config["linux"].get("resources", {}), changed, directories)
        _apply([*steps, *_plan_shares(words, known), *_plan_scope(known, planned, changed)])
        change.write(planned, directories)
        config["linux"]["resources"] = {**config["linux"].get("resources", {}), **changed}
        folder.keep_config(config)
    return 0


def _wanted(words: Words) -> dict[str, Any]:
    """Return what is to change, as linux.resources; 0 and "" are what is to stay."""
    if words.has("resources"):
        path = words.text("resources")
        shape = schema.RESOURCES
        if path == "-":
            return _known(bundle.parse(sys.stdin.buffer.read(), shape, "resources"))
        return _known(bundle.load(path, shape, "resources"))
    wanted: dict[str, Any] = {}
    for option, (part, member, read) in _MEMBERS.items():
        if words.has(option):
            wanted.setdefault(part, {})[member] = _value(option, words.text(option), read)
    resources: dict[str, Any] = schema.conform(wanted, schema.RESOURCES, "resources")
    return resources


def _value(option: str, text: str, read: Callable[[str], Any]) -> Any:
    """Return what an option's text means. Raises: UsageError: nothing."""
    try:
        return read(text)
    except InvalidInput as error:
        raise UsageError(f"invalid value for {option}: {error}") from error


def _known(resources: dict[str, Any]) -> dict[str, Any]:
    if resources.get("devices"):
        resources["devices"] = bundle.device_rules(resources["devices"])
    unknown = sorted(set(resources) - set(schema.RESOURCES))
    if unknown:
        raise InvalidInput(f"resources has unknown members: {', '.join(unknown)}")
    return resources


def _merged(before: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that change, whole: a quota is judged with its period, swap with memory."""
    parts: dict[str, Any] = {}
    for name, part in wanted.items():
        if isinstance(part, dict):
            given = {key: value for key, value in part.items() if value not in (0, "", [], None)}
            zero = {key: 0 for key in ("idle", "swappiness") if part.get(key) == 0}
            parts[name] = {**before.get(name, {}), **given, **zero}
        elif part:
            parts[name] = part
    return parts


def _settings(changed: dict[str, Any], hierarchies: list[Hierarchy]) -> list[Setting]:
    """Return the numbers to write, or refuse them with what this user lacks."""
    try:
        return settings.settings(changed, hierarchies, host.control_files(hierarchies))
    except Unsupported as error:
        if rights.gather().is_rootless:
            error.hint = "limits take a part of cgroup v2 that was delegated to this user"
        raise


def _plan_devices(
    before: dict[str, Any], changed: dict[str, Any], directories: list[tuple[Hierarchy, str]]
) -> list[Step]:
    """Return the steps to the device rules that are to hold, if they are to be others."""
    if not changed.get("devices"):
        return []
    if rights.gather().is_rootless:
        raise Unsupported(
            "device rules are the host's root's to set",
            hint="the container has none: in its user namespace nobody makes device nodes",
        )
    from onggi.runtime.plan.device_change import plan_device_change

    rules = before.get("devices", [])
    return plan_device_change(rules, changed["devices"], directories, cgroup.read)


def _plan_shares(words: Words, known: Record) -> list[Step]:
    """Return the steps to other shares of caches and memory bandwidth, if they are asked for."""
    asked = {
        member: words.text(option)
        for option, member in (
            ("l3-cache-schema", "l3CacheSchema"),
            ("mem-bw-schema", "memBwSchema"),
        )
        if words.has(option)
    }
    if not asked:
        return []
    from onggi.linux import resctrl as facts
    from onggi.runtime.plan.resctrl import schemata_lines
    from onggi.runtime.steps.resctrl import WriteSchemata

    root = facts.find()
    lines = schemata_lines(asked, facts.resources(root) if root else frozenset())
    if not known.resctrl:
        raise Unsupported("the container was made without intelRdt, and has no class of service")
    return [WriteSchemata(known.resctrl[0], lines)]


def _plan_scope(known: Record, planned: list[Setting], changed: dict[str, Any]) -> list[Step]:
    """Return the step that tells systemd of new numbers, if the container is a scope of its."""
    if not known.unit:
        return []
    from onggi.resources.unit_properties import device_properties, unit_properties
    from onggi.runtime.steps.scope import SetScope

    found = [*unit_properties(planned), *device_properties(changed.get("devices", []))]
    return [SetScope(known.unit, tuple(found))]


def _apply(steps: list[Step]) -> None:
    for step in steps:
        try:
            step.apply(Context())
        except OSError as error:
            raise Unsupported(f"cannot {step.describe()}: {error.strerror}") from error
