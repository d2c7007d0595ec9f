"""What a kernel may lack that containers need, and which failed starts that explains."""

from __future__ import annotations

import errno

from onggi.engine.rootless import own_mounts
from onggi.linux import probe, user_namespace
from onggi.runtime.failure import StartFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MOUNT_API = ("fsopen", "fsconfig", "fsmount", "open_tree", "move_mount")
_BIRTH = ("unshare", "clone3", "setns")

# How it is tried, the system calls that fail without it, and what it means. The first that a
# failed call can be blamed on is blamed.
_NEEDED: tuple[tuple[Callable[[], bool], tuple[str, ...], str], ...] = (
    (
        probe.probe_mount_api,
        _MOUNT_API,
        "no mount API by descriptors (Linux 5.2): containers can't start",
    ),
    (
        probe.probe_overlayfs,
        ("mount", "fsopen"),
        "no overlayfs: containers can't have layers",
    ),
    (
        probe.probe_mount_setattr,
        ("mount_setattr",),
        "no mount_setattr (Linux 5.12): containers can't start",
    ),
    (
        probe.probe_openat2,
        ("openat2",),
        "no openat2 (Linux 5.6): containers can't start",
    ),
    (
        probe.probe_pidfd,
        ("pidfd_open",),
        "no pidfd (Linux 5.3): containers can't be waited for",
    ),
    (
        probe.probe_seccomp,
        ("seccomp",),
        "no seccomp filters: system calls of containers can't be limited",
    ),
    (
        probe.probe_cgroup_namespaces,
        _BIRTH,
        "no cgroup namespaces: containers see the host's cgroups",
    ),
    (
        probe.probe_time_namespaces,
        _BIRTH,
        "no time namespaces: containers see the host's clocks",
    ),
)
# The same, for what only the machine's root may ask for.
_NEEDED_BY_ROOT: tuple[tuple[Callable[[], bool], tuple[str, ...], str], ...] = (
    (
        probe.probe_user_namespaces,
        _BIRTH,
        "no user namespaces: --userns=auto can't be used",
    ),
    (
        probe.probe_idmapped_mounts,
        ("mount_setattr",),
        "no idmapped mounts (Linux 5.12): --userns=auto can't be used",
    ),
)


def missing() -> list[str]:
    """Say, a line each, what this kernel lacks that containers need."""
    return [text for works, _, text in _needed() if not works()]


def _needed() -> tuple[tuple[Callable[[], bool], tuple[str, ...], str], ...]:
    if user_namespace.is_first():
        return (*_NEEDED, *_NEEDED_BY_ROOT)
    own_mounts.require()  # or nothing about mounts would work
    return _NEEDED


def name_in(error: BaseException) -> None:
    """Let a failed start begin with what this host lacks, if that explains it.

    What was being done then stands in parentheses. Any other error is left as it is.
    """
    if not isinstance(error, StartFailed) or error.stage == "program":
        return
    if reason := _reason(error):
        error.message = f"cannot start the container: {reason}"
        error.hint = error.text


def _reason(error: StartFailed) -> str:
    for works, calls, text in _needed():
        if error.call in calls and not works():
            return text
    return f"this kernel has no {error.call}(2)" if error.number == errno.ENOSYS else ""
