"""What this host offers to containers, in the Docker Engine API's words.

Source: Docker Engine API v1.50, SystemInfo, SystemVersion; moby daemon/info_unix.go, for the
warnings; os-release(5).
"""

from __future__ import annotations

import os
import platform
import time

from onggi.engine import cgroups, shortcomings
from onggi.linux import cgroup, probe, security_modules, user_namespace
from onggi.oci.platform import host
from onggi.resources.host import read_host
from onggi.runtime.log import stamp
from onggi.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from onggi.resources.host import Host

    Json = dict[str, Any]

_API_VERSION = "1.50"  # whose shapes our documents have
# A controller, and what can't be asked for without it.
_CONTROLLERS = {
    "cpu": "no cpu controller: --cpus and --cpu-shares can't be used",
    "cpuset": "no cpuset controller: --cpuset-cpus can't be used",
    "memory": "no memory controller: --memory can't be used",
    "pids": "no pids controller: --pids-limit can't be used",
}
_UNDELEGATED = (
    "no control groups: none were delegated to this user, so nothing can be limited or measured "
    "(see docs/rootless.md)"
)
_SWAP = ("memory.memsw.limit_in_bytes", "memory.swap.max")
_QUOTA = ("cpu.cfs_quota_us", "cpu.max")


def facts() -> Json:
    """Return the host's part of the API's SystemInfo."""
    names = os.uname()
    return {
        "Driver": "overlayfs",
        "LoggingDriver": "local",
        "CgroupDriver": "cgroupfs" if cgroups.offered() else "none",
        "CgroupVersion": _cgroup_version(),
        **_limits(read_host(cgroups.offered())),
        "SystemTime": stamp(time.time_ns()).decode(),
        "KernelVersion": names.release,
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": names.machine,
        "NCPU": os.cpu_count(),
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "Name": names.nodename,
        "ServerVersion": VERSION,
        "DefaultRuntime": "onggi",
        "LiveRestoreEnabled": True,
        "SecurityOptions": list(_security()),
        "Warnings": warnings(),
        **_rootless(),
    }


def _rootless() -> Json:
    """Say that an ordinary user asks, and whom he may give files to (podman info, idMappings)."""
    if user_namespace.is_first():
        return {}
    names = ("container_id", "host_id", "size")
    maps = {
        f"{kind}map": [
            dict(zip(names, line, strict=True)) for line in user_namespace.mappings(kind)
        ]
        for kind in ("uid", "gid")
    }
    return {"Rootless": True, "IDMappings": maps}


def versions() -> Json:
    """Return the API's SystemVersion, and on which Python this runs."""
    names = os.uname()
    python = platform.python_version()
    return {
        "Platform": {"Name": "Onggi Engine"},
        "Components": [{"Name": "Engine", "Version": VERSION, "Details": {"Python": python}}],
        "Version": VERSION,
        "ApiVersion": _API_VERSION,
        "MinAPIVersion": _API_VERSION,
        "Implementation": f"{platform.python_implementation()} {python}",
        "Os": "linux",
        "Arch": host().architecture,
        "KernelVersion": names.release,
    }


def _limits(offered: Host) -> dict[str, bool]:
    """Say which limits can be asked for."""
    return {
        "MemoryLimit": "memory" in offered.controllers,
        "SwapLimit": _has(offered, _SWAP),
        "CpuCfsPeriod": _has(offered, _QUOTA),
        "CpuCfsQuota": _has(offered, _QUOTA),
        "CPUShares": "cpu" in offered.controllers,
        "CPUSet": "cpuset" in offered.controllers,
        "PidsLimit": "pids" in offered.controllers,
    }


def _cgroup_version() -> str:
    """Return "1" or "2", as Docker: by where the memory controller lives."""
    for hierarchy in cgroup.hierarchies():
        if "memory" in hierarchy.controllers:
            return str(hierarchy.version)
    return "2"


def _has(offered: Host, names: tuple[str, ...]) -> bool:
    return any(name in offered.files for name in names)


def _security() -> Iterator[str]:
    if security_modules.apparmor_enabled():
        yield "name=apparmor"
    if probe.probe_seccomp():
        yield "name=seccomp,profile=builtin"
    if probe.probe_cgroup_namespaces():
        yield "name=cgroupns"
    if not user_namespace.is_first():
        yield "name=rootless"


def warnings() -> list[str]:
    """Say, a line each, what this host lacks for containers, and what does not work for it."""
    offered = cgroups.offered()
    if not offered and not user_namespace.is_first():
        return [*shortcomings.missing(), _UNDELEGATED]  # which is why every controller is missing
    return [*shortcomings.missing(), *_refused(read_host(offered))]


def _refused(offered: Host) -> Iterator[str]:
    yield from (text for name, text in _CONTROLLERS.items() if name not in offered.controllers)
    if not {"blkio", "io"} & offered.controllers:
        yield "no io or blkio controller: disks can't be shared out"
    if "cpu" in offered.controllers and not _has(offered, _QUOTA):
        yield "no cpu quota: --cpus can't be used"
    if "memory" in offered.controllers and not _has(offered, _SWAP):
        yield "no swap limit: --memory-swap can't be used"


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "Linux"  # of unknown make
