"""The host and the store as a whole: what there is, what is used, and the end of it all.

Source: Docker Engine API v1.50, SystemInfo, SystemVersion, SystemDataUsageResponse.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.engine import Engine

    Json = dict[str, Any]


class System:
    """The host and the store of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def info(self) -> Json:
        """Return what the host offers and what is in use; `Warnings` name what it lacks."""
        from onggi.engine import host_facts

        statuses = [one.status for one in self._engine.containers.list(all=True)]
        running = statuses.count("running")
        return {
            **host_facts.facts(),
            "Containers": len(statuses),
            "ContainersRunning": running,
            "ContainersPaused": 0,
            "ContainersStopped": len(statuses) - running,
            "Images": len({entry.digest for _, entry in self._engine.store.references.list()}),
            "DockerRootDir": self._engine.store.root,
        }

    def version(self) -> Json:
        """Return the versions of Onggi, Python and the kernel."""
        from onggi.engine import host_facts

        return host_facts.versions()

    def usage(self) -> Json:
        """Return what images, containers and volumes take on disk, in bytes."""
        from onggi.store.trees import size

        store = self._engine.store
        volumes = [one.inspect() for one in self._engine.volumes.list()]
        for volume in volumes:
            used = size(volume["Mountpoint"])
            volume["UsageData"] = {"Size": used, "RefCount": self._users(volume["Name"])}
        containers = self._engine.containers.list(all=True)
        return {
            "LayersSize": sum(map(store.layers.size, store.layers.list())),
            "Images": self._engine.images.list(all=True),
            "Containers": [one.summary(size=True) for one in containers],
            "Volumes": volumes,
        }

    def _users(self, volume: str) -> int:
        """Count the containers that mount a volume."""
        records = self._engine.store.containers.list()
        return sum(
            any(mount.get("Name") == volume for mount in record["mounts"]) for record in records
        )

    def reset(self) -> None:
        """Kill every container and remove everything that the store holds.

        Success means that the root is an empty directory and that no cgroup, process or file of
        this engine is left. The engine is closed by that. Anybody else who uses the root at the
        same time loses what they were doing.

        Raises: Conflict: a container could not be ended, and is left with all that it needs.
        """
        from onggi.engine import resetting

        resetting.reset(self._engine)
