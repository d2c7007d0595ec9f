"""What is asked of the runtime: one container to start and to look after.

A value that can be handed to a child of fork as it is, or to another process as JSON.
"""

from __future__ import annotations

from onggi.oci.mount import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


REMOVE = "remove"  # what may be done after a container: see after.py


class Watch:
    """What a monitor must know to look after a container that already runs.

    directory: where its state and log lie, for good. run_directory: its pipes and lock; may be
    lost at a reboot. attached: whether who starts it hears what it writes, and not only how it
    ends. once: whether its input ends with whoever is attached. tied: the container ends with
    whoever is at the other end. cgroups: its own, to be measured and removed. after: what to do
    once it has ended and its cgroups are gone, one of the names above, and the arguments of that.
    """

    __slots__ = (
        "after",
        "attached",
        "cgroups",
        "directory",
        "interactive",
        "once",
        "run_directory",
        "terminal",
        "tied",
    )

    def __init__(
        self,
        *,
        directory: str,
        run_directory: str,
        cgroups: tuple[str, ...] = (),
        interactive: bool = False,
        terminal: bool = False,
        attached: bool = True,
        once: bool = True,
        tied: bool = False,
        after: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.run_directory = run_directory
        self.cgroups = tuple(cgroups)
        self.interactive = interactive
        self.terminal = terminal
        self.attached = attached
        self.once = once
        self.tied = tied
        self.after = tuple(after)

    def to_json(self) -> dict[str, Any]:
        """Return the members, for a document."""
        return {name: getattr(self, name) for name in self.__slots__}


class Order:
    """A container to start: what it is, and how it is to be watched."""

    __slots__ = (
        "config",
        "filter_flags",
        "filter_path",
        "identifier",
        "init",
        "rootfs",
        "settle",
        "watch",
    )

    def __init__(
        self,
        *,
        identifier: str,
        config: dict[str, Any],
        rootfs: list[Mount],
        watch: Watch,
        filter_path: str = "",
        filter_flags: int = 0,
        init: bool = False,
        settle: bool = False,
    ) -> None:
        self.identifier = identifier
        self.config = config  # OCI runtime configuration
        self.rootfs = rootfs
        self.watch = watch
        self.filter_path = filter_path  # a file with the compiled seccomp filter; "": none
        self.filter_flags = filter_flags  # SECCOMP_FILTER_FLAG_*
        self.init = init
        self.settle = settle  # whether the monitor becomes a leaner process once all is quiet

    def to_json(self) -> dict[str, Any]:
        """Return the order as JSON members."""
        plain = ("identifier", "config", "filter_path", "filter_flags", "init", "settle")
        return {
            **{name: getattr(self, name) for name in plain},
            "rootfs": [[one.type, one.source, one.target, one.options] for one in self.rootfs],
            "watch": self.watch.to_json(),
        }


def from_json(members: dict[str, Any]) -> Order:
    """Return the order that `members` tell."""
    rootfs = [
        Mount(type=kind, source=source, target=target, options=tuple(options))
        for kind, source, target, options in members["rootfs"]
    ]
    return Order(**{**members, "rootfs": rootfs, "watch": Watch(**members["watch"])})
