"""Containers of a busybox image, and how tests look into them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onggi import Engine
from onggi.linux import cgroup
from support.command import Onggi, Words
from support.patience import SLOWER

PATIENCE_SECONDS = 10.0


class Box(Onggi):
    """The installed command on a store with a busybox image."""

    def sh(self, script: str, *options: Words, image: str = "busybox") -> str:
        """Run a script in a new container that must end well; return what it printed."""
        return self("run", "--rm", *options, image, "sh", "-c", script).stdout.strip()

    def up(self, *options: Words, command: tuple[Words, ...] = ("sleep", "600")) -> str:
        """Start a container in the background; return its ID."""
        return self("run", "--detach", *options, "busybox", *command).stdout.strip()

    def inside(self, container: str, script: str, *options: Words) -> str:
        """Run a script in a container that runs, which must end well; return what it printed."""
        return self("exec", *options, container, "sh", "-c", script).stdout.strip()

    def see(self, container: str, template: str) -> str:
        """Return a part of what `inspect` tells."""
        return self("inspect", "--format", "{{" + template + "}}", container).stdout.strip()

    def pid(self, container: str) -> int:
        """Return the host's PID of a container's first process."""
        return int(self.see(container, ".State.Pid"))

    def engine(self, **arguments: Any) -> Engine:
        """Open the library on the same store; the caller closes it."""
        return Engine(str(self.root), **arguments)

    def empty(self) -> None:
        """Remove every container and volume."""
        with self.engine() as engine:
            for container in engine.containers.list(all=True):
                container.remove(force=True, volumes=True)
            for volume in engine.volumes.list():
                engine.volumes.remove(volume.name)


def cgroup_file(pid: int, name: str) -> Path:
    """Return the path, on the host, of a control file of the cgroup that a process is in."""
    controller = name.partition(".")[0]
    memberships = cgroup.memberships(pid)
    for hierarchy in cgroup.hierarchies():
        path = Path(hierarchy.directory(memberships[hierarchy.key]), name)
        if (controller in hierarchy.controllers or controller == "cgroup") and path.exists():
            return path
    raise FileNotFoundError(name)


def until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds; fail if it never does."""
    deadline = time.monotonic() + seconds * SLOWER
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} s: {condition}"
        time.sleep(0.01)
