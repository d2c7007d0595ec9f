"""A writable directory in memory, for a root whose storage overlayfs cannot write to."""

from __future__ import annotations

import os
import stat

from onggi.linux import mount
from onggi.runtime.steps.base import Context, Step, quote


class MountScratch(Step):
    """Mount a tmpfs with the upper and the work directory of the overlay that comes next.

    It is in the container's mount namespace alone, and ends with that.

    Args: target: a directory of the host. like: the directory whose mode and owner upper gets.
    """

    __slots__ = ("like", "options", "target")

    def __init__(self, target: str, like: str, options: tuple[str, ...]) -> None:
        self.target = target
        self.like = like
        self.options = options

    def apply(self, context: Context) -> None:
        flags = mount.MS_NOSUID | mount.MS_NODEV
        mount.mount("tmpfs", self.target, "tmpfs", flags, ",".join(self.options))
        status = os.stat(self.like)
        os.mkdir(f"{self.target}/work", 0o700)
        os.mkdir(f"{self.target}/upper", 0o700)
        os.chown(f"{self.target}/upper", status.st_uid, status.st_gid)
        os.chmod(f"{self.target}/upper", stat.S_IMODE(status.st_mode))

    def describe(self) -> str:
        return f"keep what the container writes in memory, at {self.target}"

    def shell(self) -> list[str]:
        place, like = quote(self.target), quote(self.like)
        options = ",".join(("nosuid", "nodev", *self.options))
        return [
            f"mount -t tmpfs -o {quote(options)} tmpfs {place}",
            f"mkdir -m 700 {place}/work {place}/upper",
            f"chown --reference={like} {place}/upper",
            f"chmod --reference={like} {place}/upper",
        ]

    def argument(self) -> str:
        return self.target
