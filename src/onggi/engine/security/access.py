"""Whether the kernel would let somebody open one of its files for writing, judged from outside.

Each file system has rules of its own; capabilities do not help everywhere:

- Parameters (/proc/sys) go by the class of who asks: the host's root is the owner, the host's root
  group the group. CAP_DAC_OVERRIDE is not asked for. Those of a network namespace are open to who
  has CAP_NET_ADMIN over it as to root, those of an IPC or PID namespace to the root of its users;
  those of a user namespace to CAP_SYS_RESOURCE in it alone.
- sysfs opens nothing for writing that has no bit of writing, whoever asks.
- Everything else goes by owner, group and others, unless CAP_DAC_OVERRIDE is held over the file:
  its owner and group must be known in the user namespace.

Source: fs/proc/proc_sysctl.c, sysctl_perm and test_perm; net/sysctl_net.c, net_ctl_permissions;
ipc/ipc_sysctl.c, ipc_permissions; kernel/pid_namespace.c, pid_table_root_permissions;
kernel/ucount.c, set_permissions; fs/kernfs/file.c,
kernfs_fop_open; fs/namei.c, generic_permission.
"""

from __future__ import annotations

import os
import stat

from onggi.linux.capability import NUMBERS
from onggi.linux.namespace import of_parameter
from onggi.runtime.seccomp.profile import kernel_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.security.facts import Credentials

_WRITE = 2
# It asks for CAP_SYS_ADMIN beside: arch/x86/kernel/cpu/mtrr/if.c, mtrr_open.
_MTRR = "/mtrr"
# Since when: commit 7863dcc72d0f ("pid: allow pid_max to be set per pid namespace"). From outside
# nothing else tells.
_OWN_PID_MAX = (6, 14)


def may_write(
    who: Credentials, fstype: str, path: str, status: os.stat_result, *, own: frozenset[str]
) -> bool:
    """Tell whether `who` may open a file for writing that is offered for writing at all.

    Args: path: in its file system, from its root. status: as the host sees it. own: the kinds of
        namespaces that `who` does not share with the host.
    """
    if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o222:
        return False
    if fstype == "proc" and path.startswith("/sys/"):
        return _may_set(who, path[len("/sys/") :], status, own)
    if fstype == "proc" and path == _MTRR and not _governs_host(who):
        return False
    overrides = _holds(who, "CAP_DAC_OVERRIDE") and who.maps(status.st_uid, status.st_gid)
    return overrides or bool(_class(who, status) & _WRITE)


def _governs_host(who: Credentials) -> bool:
    return who.users is None and _holds(who, "CAP_SYS_ADMIN")


def _release() -> tuple[int, int]:
    return kernel_version(os.uname().release)


def _may_set(who: Credentials, path: str, status: os.stat_result, own: frozenset[str]) -> bool:
    name = path.replace("/", ".")
    kind = namespace_of(name)
    as_root = bool(status.st_mode >> 6 & _WRITE)
    if kind == "user":
        return as_root and _holds(who, "CAP_SYS_RESOURCE")
    if kind == "network" and _holds(who, "CAP_NET_ADMIN") and _governs(who, "network", own):
        return as_root
    if kind in ("ipc", "pid") and kind in own and _is_own_root(who):
        return as_root
    return bool(_global_class(who, status) & _WRITE)


def namespace_of(name: str) -> str:
    """Return the kind of namespace that has its own value of a parameter; "": the whole kernel."""
    if name.startswith("user."):
        return "user"
    if name == "kernel.pid_max":
        return "pid" if _release() >= _OWN_PID_MAX else ""
    # It sets nothing any more, so nobody may ask for it, but it is there.
    return "ipc" if name == "kernel.auto_msgmni" else of_parameter(name)


def _governs(who: Credentials, kind: str, own: frozenset[str]) -> bool:
    """Tell whether its capabilities hold over its namespace of a kind."""
    return who.users is None or kind in own


def _is_own_root(who: Credentials) -> bool:
    """Tell whether it is root of users of its own."""
    return who.users is not None and who.uid == who.users.outside(0, 0)[0]


def _global_class(who: Credentials, status: os.stat_result) -> int:
    if who.uid == 0:
        return status.st_mode >> 6
    return status.st_mode >> 3 if 0 in who.groups else status.st_mode


def _class(who: Credentials, status: os.stat_result) -> int:
    if who.uid == status.st_uid:
        return status.st_mode >> 6
    return status.st_mode >> 3 if status.st_gid in who.groups else status.st_mode


def _holds(who: Credentials, name: str) -> bool:
    return bool(who.reach >> NUMBERS[name] & 1)
