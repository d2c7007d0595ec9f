"""The host and the store as a whole: what there is, what is used, and the end of everything."""

from __future__ import annotations

import os
import platform
import sys

from onggi import __version__
from onggi.errors import Conflict, InvalidInput
from onggi.linux import cgroup, probe
from onggi.resources import layout
from onggi.resources.host import read_host
from onggi.runtime.plan.cgroups import PARENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.engine import Engine
    from onggi.resources.host import Host

_API_VERSION = "1.50"  # whose shapes our documents have
_PLACES = (
    *("blobs", "cache", "containers", "empty", "explained", "index.json", "l", "layers", "locks"),
    *("names", "oci-layout", "places", "repairs", "run", "tmp", "volumes", "schema"),
)

# What containers need, and what it is called when it is missing.
_NEEDED = {
    "overlayfs": probe.probe_overlayfs,
    "seccomp filters": probe.probe_seccomp,
    "cgroup namespaces (Linux 4.6)": probe.probe_cgroup_namespaces,
    "time namespaces (Linux 5.6)": probe.probe_time_namespaces,
    "the mount API (Linux 5.2)": probe.probe_mount_api,
    "mount_setattr (Linux 5.12)": probe.probe_mount_setattr,
    "openat2 (Linux 5.6)": probe.probe_openat2,
    "idmapped mounts (Linux 5.12)": probe.probe_idmapped_mounts,
}
_ID_DIGITS = 64
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")


class System:
    """What concerns no single container, image or volume."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def version(self) -> dict[str, Any]:
        """Return what runs here (Docker Engine API, SystemVersion)."""
        host = os.uname()
        return {
            "Version": __version__,
            "ApiVersion": _API_VERSION,
            "MinAPIVersion": _API_VERSION,
            "Implementation": f"{platform.python_implementation()} {platform.python_version()}",
            "Os": sys.platform,
            "Arch": _go_architecture(host.machine),
            "KernelVersion": host.release,
            "Platform": {"Name": "Onggi Engine"},
        }

    def info(self) -> dict[str, Any]:
        """Return what this host offers and what is in use (Docker Engine API, SystemInfo)."""
        host = os.uname()
        return {
            **self._counts(),
            "ServerVersion": __version__,
            "Driver": "overlay",
            "DockerRootDir": self._engine.store.root,
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": _cgroup_version(),
            **_limits(read_host(cgroup.hierarchies())),
            "SecurityOptions": ["name=seccomp,profile=default", "name=cgroupns", "name=userns"],
            "KernelVersion": host.release,
            "OperatingSystem": platform.freedesktop_os_release().get("PRETTY_NAME", host.sysname),
            "OSType": host.sysname.lower(),
            "Architecture": host.machine,
            "NCPU": os.cpu_count(),
            "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            "Name": host.nodename,
            "Warnings": warnings(),
        }

    def _counts(self) -> dict[str, int]:
        containers = self._engine.containers.list(all=True)
        running = sum(one.status == "running" for one in containers)
        return {
            "Containers": len(containers),
            "ContainersRunning": running,
            "ContainersPaused": 0,
            "ContainersStopped": len(containers) - running,
            "Images": len(self._engine.images.list()),
        }

    def usage(self) -> dict[str, int]:
        """Return how many bytes each kind of thing takes on the disk."""
        from onggi.store.trees import size

        store = self._engine.store
        kinds = ("blobs", "layers", "containers", "volumes", "cache")
        return {kind: size(f"{store.root}/{kind}") for kind in kinds}

    def reset(self) -> None:
        """Kill every container and remove everything of this store; nothing else is touched.

        Raises: InvalidInput: the directory holds what no store would; it is left as it was.
        """
        store = self._engine.store
        _require_store(store.root)
        for container in self._engine.containers.list(all=True):
            container.remove(force=True, volumes=True)
        self._engine.close()
        _remove_runs(store.run)
        _remove_parents()
        from onggi.store.trees import remove

        for name in _PLACES:  # the schema last: until then it is a store, and can be reset again
            remove(f"{store.root}/{name}")
        _rmdir(store.root)


def warnings() -> list[str]:
    """Say, a line each, what this host lacks for containers."""
    missing = [f"this kernel lacks {name}" for name, has in _NEEDED.items() if not has()]
    found = {name for each in cgroup.hierarchies() for name in each.controllers}
    return missing + [
        f"no mounted cgroup hierarchy has the {name} controller"
        for name in _CONTROLLERS
        if name not in found
    ]


def _limits(host: Host) -> dict[str, bool]:
    """Say which limits can be asked for."""
    quota = bool({"cpu.cfs_quota_us", "cpu.max"} & host.files)
    return {
        "MemoryLimit": "memory" in host.controllers,
        "SwapLimit": bool({"memory.memsw.limit_in_bytes", "memory.swap.max"} & host.files),
        "CpuCfsPeriod": quota,
        "CpuCfsQuota": quota,
        "CPUShares": "cpu" in host.controllers,
        "CPUSet": "cpuset" in host.controllers,
        "PidsLimit": "pids" in host.controllers,
    }


def _cgroup_version() -> str:
    """Return "1" or "2", as Docker: by where the memory controller lives."""
    for hierarchy in cgroup.hierarchies():
        if "memory" in hierarchy.controllers:
            return str(hierarchy.version)
    return "2"


def _go_architecture(machine: str) -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _require_store(root: str) -> None:
    strange = sorted(set(os.listdir(root)) - set(_PLACES))
    if strange:
        raise InvalidInput(
            f"{root} holds {strange[0]!r}, which is not Onggi's", hint="nothing was removed"
        )


def _remove_runs(run: str) -> None:
    """Remove what a container that was being made may have left, and the shared root."""
    for name in os.listdir(run):
        path = f"{run}/{name}"
        if len(name) == _ID_DIGITS:
            raise Conflict(f"container {name[:12]} is being made right now", hint="try again")
        _rmdir(path)
    _rmdir(run)


def _remove_parents() -> None:
    """Remove the directories above the containers' cgroups, unless another store uses them."""
    paths = layout.cgroup_paths(PARENT, "", cgroup.hierarchies(), cgroup.memberships())
    for _, path in paths:
        _rmdir(path)


def _rmdir(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        return  # in use by another store, or never there
