"""Another way into the root than pivot_root(2), for hosts that run from their first RAM disk."""

from __future__ import annotations

import os

from onggi.linux import mount, mountinfo
from onggi.runtime.steps.base import Context, Step


class MoveRoot(Step):
    """Put the root over the host's and enter it, where pivot_root(2) refuses: on a RAM disk's root.

    The host's tree stays below. Its procfs and sysfs go first, so that nothing inside that finds a
    way down meets one without the container's masks.

    Source: runc libcontainer/rootfs_linux.go, msMoveRoot.
    """

    __slots__ = ()

    def apply(self, context: Context) -> None:
        root = os.readlink(f"/proc/self/fd/{context.root_fd}")
        for entry in reversed(mountinfo.read()):
            inside = f"{entry.mountpoint}/".startswith(f"{root}/")
            if entry.fstype in ("proc", "sysfs") and not inside:
                mount.umount2(entry.mountpoint, mount.MNT_DETACH)
        os.fchdir(context.root_fd)
        mount.mount(".", "/", "", mount.MS_MOVE, "")
        os.chroot(".")
        os.chdir("/")

    def describe(self) -> str:
        return "move the root over the host's tree and enter it"

    def shell(self) -> list[str]:
        return ['cd "$root"', "mount --move . /", "$run chroot ."]
