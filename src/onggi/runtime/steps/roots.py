"""Roots that few containers have: shared ones, and those that cannot be pivoted into."""

from __future__ import annotations

import os

from onggi.linux import mount, mountinfo
from onggi.runtime.steps.base import Context, Step, quote


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


class PrivateParent(Step):
    """Keep what is mounted on the root's place from the host, where all else is shared with it.

    pivot_root(2) wants it so: neither the root nor the mount that it lies on may be shared.
    """

    __slots__ = ("target",)

    def __init__(self, target: str) -> None:
        self.target = target

    def apply(self, context: Context) -> None:
        points = {entry.mountpoint for entry in mountinfo.read()}
        place = self.target
        while place not in points:
            place = os.path.dirname(place)
        mount.mount("", place, "", mount.MS_PRIVATE, "")

    def describe(self) -> str:
        return f"make the mount that {self.target} lies on private: pivot_root wants that"

    def shell(self) -> list[str]:
        return [f'mount --make-private "$(stat -c %m {quote(self.target)})"']


class ShareRoot(Step):
    """Share the root mount, and with `deep` those below it, once it is the root."""

    __slots__ = ("deep",)

    def __init__(self, *, deep: bool) -> None:
        self.deep = deep

    def apply(self, context: Context) -> None:
        mount.mount("", "/", "", mount.MS_SHARED | (mount.MS_REC if self.deep else 0), "")

    def describe(self) -> str:
        return f"share the root mount{' and what is below it' if self.deep else ''}"

    def shell(self) -> list[str]:
        return []  # the host's programs are out of reach by then: the script's head says so


class MakeFile(Step):
    """Make an empty file inside the root, with its parents, unless something is there."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        os.close(context.inside().make_file(self.path))

    def describe(self) -> str:
        return f"make the file {self.path}, unless it is there"

    def shell(self) -> list[str]:
        return [f"place /dev/null {quote(self.path)}"]
