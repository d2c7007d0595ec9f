"""Plan which interfaces of the host a container gets. Pure.

Source: runtime-spec config-linux.md, "Network Devices"; runc libcontainer/configs/validate.
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.linux import rtnetlink
from onggi.runtime.steps.hooks import DEVICES, MeetHost
from onggi.runtime.steps.namespaces import LoopbackUp, SetPropagation
from onggi.runtime.steps.network_devices import MoveNetworkDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.plan.container import Plan


def require_possible(linux: dict[str, Any]) -> None:
    """Refuse devices that nobody could have. Raises: InvalidInput."""
    wanted = linux.get("netDevices", {})
    if wanted and not any(one["type"] == "network" for one in linux.get("namespaces", [])):
        raise InvalidInput("unable to move network devices without a network namespace")
    for name, device in wanted.items():
        for one in (name, device.get("name") or name):
            if not rtnetlink.is_name(one):
                raise InvalidInput(f"invalid network device name {one!r}")


def add_devices(plan: Plan, linux: dict[str, Any]) -> None:
    """Have the host move devices once the namespace is there, before anything is set in it."""
    wanted = linux.get("netDevices", {})
    plan.devices = [
        MoveNetworkDevice(name, device.get("name") or name) for name, device in wanted.items()
    ]
    if plan.devices:
        ready = [
            index
            for index, step in enumerate(plan.container)
            if isinstance(step, LoopbackUp | SetPropagation)
        ]
        plan.container.insert(max(ready) + 1, MeetHost(DEVICES))
