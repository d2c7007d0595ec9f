"""The configuration of an ordinary container, before anybody's wishes.

It is safe, and what Docker's users expect.

These are the parts from which the engine and the builder make an OCI runtime configuration. Where a
default differs from Docker's it is the narrower one: no_new_privs is on, and the number of
processes is bounded.

Source: moby oci/defaults.go and daemon/oci_linux.go; runtime-spec config.md.
"""

from __future__ import annotations

from onggi.resources.devices import ALLOW_ALL, DEFAULT_RULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.plan.users import UserMap

OCI_VERSION = "1.2.1"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PIDS_LIMIT = 2048  # as podman; Docker has no bound
SHM_BYTES = 64 << 20
_TTY = 5  # the group of terminals, on every distribution

NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup", "time")

# Source: moby oci/defaults.go, "MaskedPaths" and "ReadonlyPaths"; CVE-2024-21626's sisters added
# interrupts and the thermal interface.
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_GUARDED = ["nosuid", "noexec", "nodev"]


def mounts(
    *,
    shm_bytes: int = SHM_BYTES,
    writable: bool = False,
    own_network: bool,
    users: UserMap | None = None,
) -> list[Any]:
    """Return the mounts of the kernel's file systems.

    Args: writable: for a privileged container, which may write to /sys and its cgroup files.
        own_network: a sysfs of its own can be mounted only with a network namespace of its own.
        users: of the user namespace that we are in ourselves (rights.py), if that is not the first.
            Terminals then belong to the group tty if it has one, and what can't be mounted is left
            to the plan.
    """
    guard = [] if writable else ["ro"]
    group = [f"gid={_TTY}"] if users is None or users.has("gid", _TTY) else []
    return [
        _mount("/proc", "proc", "proc", _GUARDED),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", *group],
        ),
        _mount("/sys", "sysfs", "sysfs", [*_GUARDED, *guard])
        if own_network or users is not None
        # The host's sysfs alone: debugfs, tracefs and whatever else is mounted on it stay outside.
        else _mount("/sys", "bind", "/sys", ["bind", "rprivate", *_GUARDED, *guard]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*_GUARDED, *guard]),
        _mount("/dev/mqueue", "mqueue", "mqueue", _GUARDED),
        _mount("/dev/shm", "tmpfs", "shm", [*_GUARDED, "mode=1777", f"size={shm_bytes}"]),
    ]


def linux(*, namespaces: tuple[str, ...], privileged: bool) -> dict[str, Any]:
    """Return the part of the configuration that says what is isolated and hidden."""
    part: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in namespaces],
        "resources": {"devices": list(ALLOW_ALL if privileged else DEFAULT_RULES)},
        "rootfsPropagation": "private",  # of the root alone: a bind may ask for another
    }
    if not privileged:
        part["maskedPaths"] = list(MASKED_PATHS)
        part["readonlyPaths"] = list(READONLY_PATHS)
    return part


def process(
    *, args: list[str], env: list[str], cwd: str, user: dict[str, Any], capabilities: list[str]
) -> dict[str, Any]:
    """Return a process with no more rights than it is given.

    Nothing is inheritable (CVE-2022-24769); a user other than root holds no capability, and may
    gain those of the bounding set only through a file that grants them.
    """
    return {
        "terminal": False,
        "user": user,
        "args": args,
        "env": env,
        "cwd": cwd,
        "capabilities": held(capabilities, user.get("uid", 0)),
        "noNewPrivileges": True,
    }


def held(capabilities: list[str], uid: int) -> dict[str, list[str]]:
    """Return the capability sets of a process of user `uid` that is bounded by `capabilities`."""
    now = capabilities if uid == 0 else []
    return {"bounding": capabilities, "effective": now, "permitted": now}


def _mount(target: str, kind: str, source: str, options: list[str]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}
