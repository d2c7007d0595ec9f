"""What a build asks of whoever runs its commands.

The builder prepares everything: the root with its writable layer, the files behind each mount, the
environment. It does not know how a process is isolated; an engine passes it something that does.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from onggi.oci.mount import Mount

    # (1 for standard output or 2 for standard error, what was written)
    Output = Callable[[int, bytes], None]

    class Executor(Protocol):
        """Runs one command in an isolated process."""

        def run(self, request: RunRequest) -> int:
            """Run a command to its end.

            Success means that the process and all it started are gone, and the root is mounted
            nowhere any more.

            Returns: its exit status, 128 and the signal's number if it was killed.
            Raises: OnggiError: it could not be started.
            """
            ...


class RunRequest:
    """One command of a RUN.

    Attributes:
        rootfs: the mounts that make its root, writable. argv: what is executed, by its path or
            looked up in the environment's PATH inside the root. env: ``NAME=value`` texts.
        cwd: an absolute path that exists. user: ``user[:group]``, names or numbers, empty for
            root. mounts: shown beside /proc, /dev and /sys, in this order; sources lie on the
            host and are safe to mount; those targets that are missing may be made.
        network: `host` or `none`. output: called with what the command writes, as it comes.
    """

    __slots__ = ("argv", "cwd", "env", "mounts", "network", "output", "rootfs", "user")

    def __init__(
        self,
        *,
        rootfs: list[Mount],
        argv: list[str],
        env: list[str],
        cwd: str,
        user: str,
        mounts: list[Mount],
        network: str,
        output: Output,
    ) -> None:
        self.rootfs = rootfs
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.user = user
        self.mounts = mounts
        self.network = network
        self.output = output
