"""Plan the systemd scope that a container's control groups are. Pure.

Source: runc docs/systemd.md; opencontainers/cgroups systemd/; org.freedesktop.systemd1(5).
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.resources.unit_properties import device_properties, unit_properties
from onggi.runtime.steps import cgroups
from onggi.runtime.steps.scope import StartScope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.resources.unit_properties import Property
    from onggi.runtime.plan.container import Plan

_SLICE = "system.slice"
_PREFIX = "onggi"
_ANNOTATION = "org.systemd.property."
_NUMBERS = {"int32": "i", "uint32": "u", "int64": "x", "uint64": "t"}
_OWN = frozenset(("Delegate", "PIDs", "Slice"))
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# Source: systemd.unit(5), "DESCRIPTION".
_UNIT_LETTERS = _LETTERS | frozenset("0123456789:-_.\\@")


class Unit:
    """A scope: its name, the slice that it lies in, and its path from the top of a hierarchy."""

    __slots__ = ("name", "path", "slice")

    def __init__(self, name: str, slice_: str) -> None:
        self.name = name
        self.slice = slice_
        self.path = f"{expand_slice(slice_)}/{name}"


def read_unit(cgroups_path: str, identifier: str) -> Unit:
    """Read a cgroupsPath of the form slice:prefix:name; of an empty one the name is the ID.

    Raises: InvalidInput: it has another form.
    """
    if not cgroups_path or cgroups_path == "/":
        return Unit(f"{_PREFIX}-{identifier}.scope", _SLICE)
    parts = cgroups_path.split(":")
    if len(parts) != 3 or not parts[2] or "/" in cgroups_path:
        raise InvalidInput(
            'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, '
            f"got {cgroups_path!r} instead"
        )
    if not _UNIT_LETTERS.issuperset(cgroups_path):
        raise InvalidInput(f"no systemd unit may be called as in cgroupsPath {cgroups_path!r}")
    slice_, prefix, name = parts
    if name.endswith(".slice"):
        raise InvalidInput(f"a container can't be the slice {name!r}", hint="a scope in a slice")
    return Unit(f"{prefix}-{name}.scope" if prefix else f"{name}.scope", slice_ or _SLICE)


def expand_slice(name: str) -> str:
    """Return a slice's path from the top: a-b.slice lies in a.slice. Raises: InvalidInput.

    Source: systemd.slice(5).
    """
    base = name.removesuffix(".slice")
    if base == "-" and base != name:
        return ""
    parts = base.split("-")
    if base == name or not all(parts) or "/" in name:
        raise InvalidInput(f"invalid slice name: {name!r}")
    levels = ("-".join(parts[: count + 1]) for count in range(len(parts)))
    return "".join(f"/{level}.slice" for level in levels)


def add_scope(plan: Plan, unit: Unit, config: dict[str, Any], pid: int) -> None:
    """Have the plan's cgroups be a scope of systemd's, made around process `pid`.

    Raises: InvalidInput: an annotation that is no property.
    """
    settings = [step.setting for step in plan.host if isinstance(step, cgroups.WriteSetting)]
    rules = config["linux"].get("resources", {}).get("devices", [])
    properties: list[Property] = [
        ("Description", "s", f"onggi container {plan.identifier}"),
        ("Slice", "s", unit.slice),
        ("Delegate", "b", "true"),
        ("DefaultDependencies", "b", "false"),
        *((f"{name}Accounting", "b", "true") for name in ("Memory", "CPU", "IO", "Tasks")),
        *unit_properties(settings),
        *device_properties(rules),
        *annotated(config.get("annotations", {})),
    ]
    made = [
        # What systemd makes it removes; the rest goes with StartScope.undo.
        cgroups.MakeCgroup(step.make, shared=True) if isinstance(step, cgroups.MakeCgroup) else step
        for step in plan.host
    ]
    plan.host = [StartScope(unit.name, tuple(properties), pid, plan.cgroups), *made]


def annotated(annotations: dict[str, str]) -> list[Property]:
    """Return the properties that annotations name, such as org.systemd.property.CollectMode.

    Times in seconds, with a name that ends in Sec, become those in microseconds that the bus has.

    Source: runc docs/systemd.md, "Auxiliary properties".
    """
    found: list[Property] = []
    for key, text in annotations.items():
        name = key.removeprefix(_ANNOTATION)
        if name == key:
            continue
        if not _LETTERS.issuperset(name) or len(name) < 3:
            raise InvalidInput(f"annotation {key}: no systemd property is called that")
        if name in _OWN:  # another slice, and the container would not be in its scope
            raise InvalidInput(f"annotation {key}: that property is the runtime's own to set")
        signature, value = _value(key, text.strip())
        if name.endswith("Sec") and not name.endswith("USec"):
            name, signature, value = _microseconds(key, name, value)
        found.append((name, signature, value))
    return found


def _value(key: str, text: str) -> tuple[str, str]:
    """Read a value in the text form of GVariant: truth, number or string."""
    if text in ("true", "false"):
        return "b", text
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" and "\\" not in text:
        return "s", text[1:-1]
    kind, _, number = text.rpartition(" ")
    if number.removeprefix("-").isdigit() and kind in ("", *_NUMBERS):
        return _NUMBERS.get(kind, "i"), number
    raise InvalidInput(f"annotation {key}: {text!r} is no value", hint="such as 'uint64 5'")


def _microseconds(key: str, name: str, value: str) -> tuple[str, str, str]:
    if not value.isdigit():
        raise InvalidInput(f"annotation {key}: {value!r} is no number of seconds")
    return f"{name.removesuffix('Sec')}USec", "t", str(int(value) * 1_000_000)
