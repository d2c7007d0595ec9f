"""Running the commands of a build: each RUN in a container of its own, which ends with the build.

It is confined like any container (spec.py), has no name and no record, and nothing of it outlives
the command but what it wrote to its layer.
"""

from __future__ import annotations

import contextlib
import os

from onggi.engine import creation, places, recovery
from onggi.engine.users import held_user, read_accounts
from onggi.errors import Internal, OnggiError
from onggi.runtime import capabilities, frames, rights, rundir, spec
from onggi.runtime.order import Order, Watch
from onggi.runtime.steps.mounts import split_layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from onggi.build.executor import RunRequest
    from onggi.engine.engine import Engine
    from onggi.oci.mount import Mount
    from onggi.runtime.session import Session as Channel

_HOSTNAME = "onggi-build"


class ContainerExecutor:
    """Runs a build's commands (build.executor.Executor) on an engine.

    Args: hosts: (name, address) of hosts to be known beside others; limits: what each command may
        use, as ContainerOptions has them.
    Attributes: warnings: what of the limits this host cannot grant.
    Raises: InvalidInput: a limit makes no sense.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        hosts: Sequence[tuple[str, str]] = (),
        limits: Mapping[str, Any] | None = None,
    ) -> None:
        self._engine = engine
        self._hosts = tuple(hosts)
        self._rlimits: list[Any] = []
        self._shm_bytes = spec.SHM_BYTES
        self._resources: dict[str, Any] = {}
        self.warnings: list[str] = []
        if limits:
            self._limit(dict(limits))

    def _limit(self, limits: dict[str, Any]) -> None:
        # Reading what the host has costs more than a build whose steps are all cached: so where
        # nothing is asked for, it is put off until a command is run.
        from onggi.engine import limits as limiting

        host = self._engine.host
        granted, self._resources, self.warnings = limiting.granted(limits, host)
        self._rlimits = granted.rlimits()
        self._shm_bytes = granted.shm_size or self._shm_bytes

    def run(self, request: RunRequest) -> int:
        """Run one command to its end, and return its exit code, or 128 and the signal's number.

        Raises: StartFailed, InvalidInput
        """
        identifier = os.urandom(32).hex()
        run_directory = places.run_directory(self._engine.store, identifier)
        directory = self._engine.store.workshop.new_directory()
        watch = Watch(directory=directory, run_directory=run_directory, tied=True)
        try:
            with contextlib.closing(self._start(request, identifier, watch)) as channel:
                return _follow(channel, request)
        finally:
            # Not before its monitor has ended, killed or not, is nothing of it left.
            recovery.recover_one(self._engine, identifier, patience=recovery.DYING_SECONDS)
            self._engine.store.workshop.remove(directory)

    def _start(self, request: RunRequest, identifier: str, watch: Watch) -> Channel:
        lock_fd = rundir.lock(watch.run_directory)
        try:
            files = self._files(request, watch.directory)
            order = self._order(request, identifier, watch, files)
            return self._engine.launch(order, lock_fd)
        finally:
            os.close(lock_fd)

    def _files(self, request: RunRequest, directory: str) -> list[Any]:
        """Say who and where the command is; what it needs of the host to reach a network."""
        own = creation.hosts(request.network)
        lines = [
            f"127.0.0.1\t{_HOSTNAME}",
            *(f"{address}\t{name}" for name, address in self._hosts),
        ]
        path = f"{directory}/hosts"
        with open(path, "x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever the caller's umask is
            file.write("".join([own.rstrip("\n"), "\n", *(f"{line}\n" for line in lines)]))
        shown = {"/etc/hosts": path, "/etc/resolv.conf": "/etc/resolv.conf"}
        return [_bound(target, path) for target, path in shown.items() if os.path.exists(path)]

    def _order(self, request: RunRequest, identifier: str, watch: Watch, files: list[Any]) -> Order:
        held = list(capabilities.resolve([], []))
        config = self._config(request, identifier, held, files)
        path, flags = self._engine.filter_file({"seccomp": "default", "config": config})
        return Order(
            identifier=identifier,
            config=config,
            rootfs=request.rootfs,
            watch=watch,
            filter_path=path,
            filter_flags=flags,
        )

    def _config(
        self, request: RunRequest, identifier: str, held: list[str], files: list[Any]
    ) -> dict[str, Any]:
        own_network = request.network != "host"
        kinds = tuple(kind for kind in spec.NAMESPACES if kind != "network" or own_network)
        user = read_accounts(_trees(request.rootfs)).find(request.user)
        env = request.env
        if not any(entry.startswith("HOME=") for entry in env):
            env = [*env, f"HOME={user.home}"]
        linux = spec.linux(namespaces=kinds, privileged=False)
        if not self._resources:
            self._limit({})
        linux["resources"] = {**self._resources, "devices": linux["resources"]["devices"]}
        linux["cgroupsPath"] = f"/onggi/{identifier}"
        process = spec.process(
            args=request.argv,
            env=env,
            cwd=request.cwd,
            user=held_user(user, rights.gather()),
            capabilities=held,
        )
        if self._rlimits:
            process["rlimits"] = self._rlimits
        users = rights.gather().users
        base = spec.mounts(shm_bytes=self._shm_bytes, own_network=own_network, users=users)
        return {
            "ociVersion": spec.OCI_VERSION,
            "root": {"path": places.root_directory(self._engine.store)},
            "hostname": _HOSTNAME,
            "process": process,
            "mounts": [*base, *files, *_asked(request)],
            "linux": linux,
        }


def _follow(channel: Channel, request: RunRequest) -> int:
    try:
        channel.wait_started()
    except OnggiError as error:
        from onggi.engine import shortcomings

        shortcomings.name_in(error)
        raise
    while (received := channel.receive()) is not None:
        kind, data = received
        request.output(2 if kind == frames.ERROR else 1, data)
    if channel.final is None:
        raise Internal("the monitor of a build step was killed")
    return channel.final.exit_code


def _bound(target: str, source: str) -> dict[str, Any]:
    return {
        "destination": target,
        "type": "bind",
        "source": source,
        "options": ["bind", "ro", "rprivate"],
    }


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
