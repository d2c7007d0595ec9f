"""Running the commands of a build: each RUN in a container of its own, which ends with the build.

It is confined like any container (spec.py), has no name and no record, and nothing of it outlives
the command but what it wrote to its layer.
"""

from __future__ import annotations

import os

from onggi.engine import creation
from onggi.engine.users import read_accounts
from onggi.errors import Internal
from onggi.runtime import capabilities, frames, rundir, spec
from onggi.runtime.order import Order, Watch
from onggi.runtime.steps.mounts import split_layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.build.executor import RunRequest
    from onggi.engine.engine import Engine
    from onggi.oci.mount import Mount
    from onggi.runtime.session import Session as Channel

# What a command needs of the host to reach a network, where the image has its own or none.
_HOST_FILES = ("/etc/resolv.conf", "/etc/hosts")


class ContainerExecutor:
    """Runs a build's commands (build.executor.Executor) on an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, request: RunRequest) -> int:
        """Run one command to its end, and return its exit code, or 128 and the signal's number.

        Raises: StartFailed, InvalidInput
        """
        identifier = os.urandom(32).hex()
        run_directory = creation.run_directory(self._engine.store, identifier)
        directory = self._engine.store.workshop.new_directory()
        lock_fd = rundir.lock(run_directory)
        try:
            watch = Watch(directory=directory, run_directory=run_directory, tied=True)
            channel = self._engine.launch(self._order(request, identifier, watch), lock_fd)
        finally:
            os.close(lock_fd)
        try:
            return _follow(channel, request)
        finally:
            channel.close()
            self._engine.store.workshop.remove(directory)

    def _order(self, request: RunRequest, identifier: str, watch: Watch) -> Order:
        held = list(capabilities.resolve([], []))
        config = self._config(request, identifier, held)
        path, flags = self._engine.filter_file({"seccomp": "default", "config": config})
        return Order(
            identifier=identifier,
            config=config,
            rootfs=request.rootfs,
            watch=watch,
            filter_path=path,
            filter_flags=flags,
        )

    def _config(self, request: RunRequest, identifier: str, held: list[str]) -> dict[str, Any]:
        own_network = request.network != "host"
        kinds = tuple(kind for kind in spec.NAMESPACES if kind != "network" or own_network)
        user = read_accounts(_trees(request.rootfs)).find(request.user)
        env = request.env
        if not any(entry.startswith("HOME=") for entry in env):
            env = [*env, f"HOME={user.home}"]
        linux = spec.linux(namespaces=kinds, privileged=False)
        linux["resources"]["pids"] = {"limit": spec.PIDS_LIMIT}
        linux["cgroupsPath"] = f"/onggi/{identifier}"
        return {
            "ociVersion": spec.OCI_VERSION,
            "root": {"path": creation.root_directory(self._engine.store)},
            "hostname": "onggi-build",
            "process": spec.process(
                args=request.argv,
                env=env,
                cwd=request.cwd,
                user=user.to_oci(),
                capabilities=held,
            ),
            "mounts": [*spec.mounts(own_network=own_network), *_files(), *_asked(request)],
            "linux": linux,
        }


def _follow(channel: Channel, request: RunRequest) -> int:
    channel.wait_started()
    while (received := channel.receive()) is not None:
        kind, data = received
        request.output(2 if kind == frames.ERROR else 1, data)
    if channel.final is None:
        raise Internal("the monitor of a build step was killed")
    return channel.final.exit_code


def _files() -> list[dict[str, Any]]:
    return [
        {"destination": path, "type": "bind", "source": path, "options": ["bind", "ro", "rprivate"]}
        for path in _HOST_FILES
        if os.path.exists(path)
    ]


def _asked(request: RunRequest) -> list[dict[str, Any]]:
    return [
        {
            "destination": mount.target,
            "type": mount.type,
            "source": mount.source,
            "options": list(mount.options),
        }
        for mount in request.mounts
    ]


def _trees(rootfs: list[Mount]) -> list[str]:
    """Return the directories that make up an overlay, the topmost first."""
    values = dict(option.partition("=")[::2] for mount in rootfs for option in mount.options)
    upper = split_layers(values["upperdir"]) if "upperdir" in values else []
    return [*upper, *split_layers(values.get("lowerdir", ""))]
