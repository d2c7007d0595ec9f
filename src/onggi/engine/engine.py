"""The engine: one store, and everything that can be done with what lies in it.

State is on disk, so any number of engines, in any number of processes, may use one root at once;
there is no daemon to ask. An engine that meets what a killed process left behind puts it right.
"""

from __future__ import annotations

import os

from onggi.engine import places
from onggi.engine.ahead import ready
from onggi.runtime.session import Session as Channel
from onggi.store.store import DEFAULT_ROOT, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

    from onggi.engine.containers import Containers
    from onggi.engine.images import Images
    from onggi.engine.launching import Launcher
    from onggi.engine.options import ContainerOptions
    from onggi.engine.security.findings import Report
    from onggi.engine.system import System
    from onggi.engine.volumes import Volumes
    from onggi.oci.mount import Mount
    from onggi.resources.host import Host
    from onggi.runtime.order import Order


class Engine:
    """A container engine on the store at `root`.

    The process of an ordinary user becomes root of the store's user namespace, so it must have no
    threads yet; see rootless/entry.py.

    Args: root: where everything lies; if not given, /var/lib/onggi for root, and for others
        onggi below $XDG_DATA_HOME or ~/.local/share. direct: fork monitors from
        this process, which must be single-threaded, as a command is. Otherwise a launcher process
        is started at the first need, and any thread may start containers. ahead_fd: what
        `runtime.ahead` returned, for the one container that a direct engine starts. recover: put
        right at the first listing what killed processes left.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        direct: bool = False,
        ahead_fd: int = -1,
        recover: bool = True,
    ) -> None:
        root = ready(root) or DEFAULT_ROOT
        places.require_own(root)
        self.store = Store(root)
        self._direct = direct
        self._ahead_fd = ahead_fd
        self._launcher: Launcher | None = None
        self._recovers = recover
        self._to_recover = recover
        self._host: Host | None = None

    @property
    def containers(self) -> Containers:
        """The containers."""
        from onggi.engine.containers import Containers

        return Containers(self)

    @property
    def images(self) -> Images:
        """The images."""
        from onggi.engine.images import Images

        return Images(self)

    @property
    def volumes(self) -> Volumes:
        """The named volumes."""
        from onggi.engine.volumes import Volumes

        return Volumes(self.store)

    @property
    def system(self) -> System:
        """The host and the store as a whole."""
        from onggi.engine.system import System

        return System(self)

    @property
    def settles(self) -> bool:
        """Whether monitors should go on as a leaner process: their memory is then their own."""
        return self._direct

    def launch(self, order: Order, lock_fd: int) -> Channel:
        """Have a monitor carry out `order`; `lock_fd` stays the caller's to close."""
        if self._ahead_fd >= 0:
            from onggi.engine.launching import Requests

            requests = Requests(self._ahead_fd)
            self._ahead_fd = -1
            channel_fd = requests.launch(order, lock_fd)
            requests.close()
            return Channel(channel_fd)
        if self._direct:
            from onggi.runtime import launch

            return Channel(launch.launch(order, lock_fd))
        return Channel(self.launcher.launch(order, lock_fd))

    @property
    def host(self) -> Host:
        """What this machine has to share; read once, as mounts of control groups do not move."""
        if self._host is None:
            from onggi.engine import cgroups
            from onggi.resources.host import read_host

            self._host = read_host(cgroups.offered())
        return self._host

    @property
    def launcher(self) -> Launcher:
        """The process that forks for this one; started now if it is not there yet."""
        from onggi.engine.launching import Launcher

        if self._launcher is None:
            self._launcher = Launcher()
        return self._launcher

    @property
    def is_direct(self) -> bool:
        """Whether this process forks by itself."""
        return self._direct

    def filter_file(self, record: dict[str, Any]) -> tuple[str, int]:
        """Return the file of a container's seccomp filter, or "", and the flags to load it with."""
        said = record["seccomp"]
        if said == "unconfined":
            return "", 0
        held = record["config"]["process"]["capabilities"]["bounding"]
        directory = places.filters(self.store)
        if said != "default":
            from onggi.engine import own_filter

            return own_filter.filter_file(said, held, directory)
        from onggi.runtime.seccomp import cache

        return cache.filter_file(held, directory), cache.FLAGS

    def explain(self, options: ContainerOptions) -> str:
        """Return the shell script that would make the container, and make nothing."""
        from onggi.engine import creation

        record, rootfs = creation.describe(self.store, options, self.host)
        return self.script(record, rootfs)

    def security(self, options: ContainerOptions) -> Report:
        """Report what such a container could do, and make nothing.

        Raises: as `containers.create`.
        """
        from onggi.engine.security import examine

        return examine.image(self, options)

    def script(self, record: dict[str, Any], rootfs: list[Mount]) -> str:
        """Return the shell script for a container's record."""
        from onggi.runtime import host, script, start
        from onggi.runtime.plan.container import plan_container

        path, flags = self.filter_file(record)
        plan = plan_container(
            record["config"],
            rootfs,
            host.gather(),
            identifier=record["id"],
            program=start.read_filter(path),
            program_flags=flags,
            init=record["options"]["init"],
        )
        return script.render(
            plan,
            directory=record.get("directory", ""),
            files=record.get("files", {}),
            directories=record.get("directories", ()),
            volumes=record.get("volumes", ()),
        )

    def recover(self) -> None:
        """Put right what was left; done once, before the first look at containers, or again."""
        if self._to_recover:
            self._to_recover = False
            from onggi.engine import recovery

            recovery.recover(self)

    def recover_again(self) -> None:
        """Have the next look at containers put right what a failure just now may have left."""
        self._to_recover = self._recovers

    def close(self) -> None:
        """Give back what this engine holds; containers go on. Closing twice is fine."""
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None
        if self._ahead_fd >= 0:
            os.close(self._ahead_fd)
            self._ahead_fd = -1
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<onggi.Engine at {self.store.root}, process {os.getpid()}>"
