"""Changing what a container may use, at once if it runs, and for all its starts to come.

Source: docker container update; moby daemon/update.go, container/container_unix.go.
"""

from __future__ import annotations

from onggi.engine import cgroups, limits
from onggi.engine.options import CHANGEABLE
from onggi.errors import Conflict, InvalidInput, OnggiError
from onggi.resources import change, host, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.container import Container
    from onggi.resources.host import Host

# A container has its processor time by one of these or by the other.
_PROCESSORS = {"cpus": ("cpu-period", "cpu-quota"), "cpu-period": ("cpus",), "cpu-quota": ("cpus",)}


def update(container: Container, wanted: dict[str, Any], facts: Host) -> list[str]:
    """Change the limits of a container to those of `wanted`; the others stay.

    Returns: a warning for each that this host cannot grant.
    Raises: InvalidInput: they contradict each other or those that stay, or can't be changed;
        Conflict: the kernel refuses them now, and all are as before.
    """
    if fixed := sorted(set(wanted) - set(CHANGEABLE)):
        raise InvalidInput(f"{', '.join(fixed)} can't be changed once a container is made")
    warnings: list[str] = []

    def changed(record: dict[str, Any]) -> dict[str, Any]:
        merged = _merged(record["options"]["limits"], wanted)
        _, resources, said = limits.granted(merged, facts)
        warnings.extend(said)
        before = record["config"]["linux"]["resources"]
        if container.state.is_alive():
            _apply(container, before, resources)
        kept = {name: before[name] for name in before if name == "devices"}
        linux = {**record["config"]["linux"], "resources": {**resources, **kept}}
        return {
            **record,
            "options": {**record["options"], "limits": merged},
            "config": {**record["config"], "linux": linux},
        }

    container.record = container.store.containers.update(container.id, changed)
    return warnings


def _merged(before: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    replaced = {other for name in wanted for other in _PROCESSORS.get(name, ())}
    return {**{name: before[name] for name in before if name not in replaced}, **wanted}


def _apply(container: Container, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Write what differs; if the kernel refuses a part of it, put all back as it was."""
    try:
        _write(container, _difference(before, after))
    except (OnggiError, OSError) as error:
        _write(container, _difference(after, before))
        raise Conflict(f"the limits of container {container.id[:12]} stay: {error}") from error


def _difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that change, whole: a quota is judged with its period, swap with memory."""
    parts = (name for name in after if name != "devices")
    return {name: after[name] for name in parts if before.get(name) != after[name]}


def _write(container: Container, resources: dict[str, Any]) -> None:
    directories = cgroups.directories(container.id, container.record, container.pid)
    hierarchies = [hierarchy for hierarchy, _ in directories]
    planned = settings.settings(resources, hierarchies, host.control_files(hierarchies))
    change.write(planned, directories)
