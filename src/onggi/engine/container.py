"""One container: what it is, what can be done with it, and what can be asked of it."""

from __future__ import annotations

import os

from onggi.engine import attach, places
from onggi.engine.attach import Session
from onggi.engine.options import Exit
from onggi.errors import Conflict, Unsupported
from onggi.linux import process
from onggi.runtime import rundir, state
from onggi.runtime.order import REMOVE, Order, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from onggi.engine.engine import Engine
    from onggi.engine.options import ExecOptions, LogLine, Streams
    from onggi.engine.process import ExecSession
    from onggi.engine.security.findings import Report
    from onggi.oci.mount import Mount
    from onggi.resources.measure import Usage
    from onggi.runtime.state import State
    from onggi.store.owners import Owners
    from onggi.store.store import Store

SIGKILL = 9
PAUSED = "paused"


class Container:
    """A container of an engine, by its record. What it tells of its process is read anew."""

    def __init__(self, engine: Engine, record: dict[str, Any]) -> None:
        self._engine = engine
        self._store = engine.store
        self.record = record

    @property
    def id(self) -> str:
        """Its ID: 64 hexadecimal digits."""
        return str(self.record["id"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.record["name"])

    @property
    def image(self) -> str:
        """The image that it was made from, as it was asked for."""
        return str(self.record["image"])

    @property
    def store(self) -> Store:
        """The store that holds it."""
        return self._store

    @property
    def directory(self) -> str:
        """Where its record, files and log lie."""
        return self._store.containers.path(self.id)

    @property
    def state(self) -> State:
        """What is known of its process."""
        return state.read(self.directory)

    @property
    def status(self) -> str:
        """`created`, `running`, `paused`, `exited` or `removing`."""
        current = self.state
        return PAUSED if self.is_paused(current) else current.status

    def is_paused(self, current: State) -> bool:
        """Tell whether its processes are held, when its state is `current`."""
        if current.status != state.RUNNING or not os.path.exists(self.pause_mark):
            return False
        from onggi.engine import pausing

        return pausing.is_held(self)

    @property
    def pause_mark(self) -> str:
        """The file without which it is not paused; whether it is then, the kernel says."""
        return f"{places.run_directory(self._store, self.id)}/{rundir.PAUSED}"

    @property
    def pid(self) -> int:
        """The host's PID of its first process; 0 when it does not run."""
        return self.state.pid

    def start(self, streams: Streams | None = None) -> Session:
        """Start it, and return an attachment: without `streams`, to nothing but its end.

        Raises: Conflict: it runs; StartFailed: it could not be started, and nothing is left.
        """
        if self.state.is_alive():
            raise self._running_already()
        directory = places.run_directory(self._store, self.id)
        if os.path.exists(directory):
            self.recover()
        return self.start_locked(rundir.lock(directory), streams)

    def _running_already(self) -> Conflict:
        if self.status == PAUSED:
            return Conflict(f"container {self.id[:12]} is paused", hint="unpause it instead")
        return Conflict(f"container {self.id[:12]} is running already")

    def start_locked(self, lock_fd: int, streams: Streams | None) -> Session:
        """Start it, with the lock taken already; the lock's descriptor is given up."""
        channel = None
        try:
            try:
                channel = self._engine.launch(self.order(streams), lock_fd)
            finally:
                os.close(lock_fd)
            channel.wait_started()
        except BaseException as error:
            from onggi.engine import shortcomings

            if channel is not None:
                channel.close()
            shortcomings.name_in(error)
            self._engine.recover_again()  # should the following not succeed either
            self._clear_failed_start(error)
            raise
        return Session(self, channel, streams)

    def _clear_failed_start(self, error: BaseException) -> None:
        """Remove what its monitor, if that was killed, has left of it."""
        if self.record["options"]["remove"]:
            self.remove(force=True, volumes=True)
        elif isinstance(error, Exception):  # and not somebody who does not want to wait for it
            self.recover()

    def recover(self) -> None:
        """Put right what a monitor that was killed just now left; one that lives is left alone."""
        from onggi.engine import recovery

        recovery.recover_one(self._engine, self.id, patience=recovery.DYING_SECONDS)

    def order(self, streams: Streams | None = None) -> Order:
        """Return what the runtime is asked for to start it."""
        options, config = self.record["options"], self.record["config"]
        path, flags = self._engine.filter_file(self.record)
        if options["userns"] != "host":
            from onggi.engine import ids

            ids.remember(self._store)
        if options["tty"]:
            size = attach.console_size(streams)
            config = {**config, "process": {**config["process"], "consoleSize": size}}
        return Order(
            identifier=self.id,
            config=config,
            rootfs=self._rootfs(),
            watch=self.watch(attached=streams is not None),
            filter_path=path,
            filter_flags=flags,
            init=options["init"],
            settle=self._engine.settles,
        )

    def watch(self, *, attached: bool = False) -> Watch:
        """Return what its monitor must know, but for its cgroups, which follow from its plan."""
        options = self.record["options"]
        return Watch(
            directory=self.directory,
            run_directory=places.run_directory(self._store, self.id),
            interactive=options["interactive"] and not options["tty"],
            terminal=options["tty"],
            attached=attached,
            once=options["interactive"] and not options["detach"],
            after=(REMOVE, self._store.root, self.id) if options["remove"] else (),
        )

    def _rootfs(self) -> list[Mount]:
        scratch = places.scratch_directory(self._store) if self._is_in_memory() else ""
        beneath = places.beneath(self._store)
        return self._store.snapshots.mounts(self.id, beneath=beneath, scratch=scratch)

    def overlay(self) -> Mount:
        """Return the mount that makes its root directory, whether it runs or not.

        Raises: Unsupported: what it wrote is not on the disk.
        """
        self._require_disk()
        [overlay] = self._rootfs()
        return overlay

    def _is_in_memory(self) -> bool:
        return bool(self.record.get("in_memory"))

    def _require_disk(self) -> None:
        """Refuse to look for what it wrote where that is not."""
        if self._is_in_memory():
            raise Unsupported(
                f"what container {self.id[:12]} writes is in its memory alone",
                hint="keep the store on a file system that overlayfs can write to, with --root",
            )

    def attach(self, streams: Streams | None = None) -> Session:
        """Attach to it while it runs: hear what it writes from now on, and say what it reads.

        Raises: Conflict: it does not run, or is paused.
        """
        current = self.state
        if self.is_paused(current):
            raise Conflict("cannot attach to a paused container", hint="unpause it first")
        if not current.is_alive():
            raise Conflict("cannot attach to a stopped container", hint="start it first")
        return Session(self, attach.enter(self), streams)

    def exec(self, options: ExecOptions, streams: Streams | None = None) -> ExecSession:
        """Run a further program in it.

        Raises: Conflict: it does not run; StartFailed: the program could not be executed.
        """
        from onggi.engine import process as processes

        return processes.start(self._engine, self, options, streams)

    def wait(self) -> Exit:
        """Wait until it does not run any more, and tell how it ended."""
        directory = places.run_directory(self._store, self.id)
        rundir.wait_free(directory)
        while (current := self.state).status == state.RUNNING:
            self.recover()  # its monitor was killed: now it has another, or has ended
            rundir.wait_free(directory)
        return Exit.of(current)

    def kill(self, signal: int = SIGKILL) -> None:
        """Send its first process a signal.

        Raises: Conflict: it does not run.
        """
        current = self.require_running()
        try:
            _send(current, signal)
        except ProcessLookupError:
            raise self.not_running() from None  # it ended just now
        self._let_end(current, signal)

    def _let_end(self, current: State, signal: int) -> None:
        """Let it go on if it is held and was sent what is to end it: it could not otherwise."""
        if self.is_paused(current) and signal in (SIGKILL, self.record["stop_signal"]):
            from onggi.engine import pausing

            pausing.release(self)

    def require_running(self) -> State:
        """Return its state, while it runs. Raises: Conflict: it does not."""
        current = self.state
        if not current.is_alive():
            raise self.not_running()
        return current

    def not_running(self) -> Conflict:
        """Return the refusal of what only a container that runs can do."""
        return Conflict(f"container {self.id[:12]} is not running")

    def stop(self, timeout: float | None = None, signal: int | None = None) -> Exit:
        """Ask it to end, wait `timeout` seconds, then kill it; one that does not run is fine.

        A negative timeout waits for ever. Without one, the container's own counts.
        """
        if not self.state.is_alive():
            return self.wait()
        seconds = self.record["stop_seconds"] if timeout is None else timeout
        self.kill(signal or self.record["stop_signal"])
        if not self._ends_within(seconds):
            try:
                self.kill(SIGKILL)
            except Conflict:
                pass  # it ended just now
        return self.wait()

    def _ends_within(self, seconds: float) -> bool:
        import select

        current = self.state
        if current.status != state.RUNNING:
            return True  # and has no PID any more
        try:
            pidfd = process.pidfd_open(current.pid)
        except ProcessLookupError:
            return True
        try:
            if not current.is_alive():
                return True
            limit = None if seconds < 0 else seconds
            return bool(select.select([pidfd], [], [], limit)[0])
        finally:
            os.close(pidfd)

    def restart(self, timeout: float | None = None, signal: int | None = None) -> Session:
        """Stop it as `stop` does, if it runs, and start it again, attached to nothing.

        Raises: Conflict: it is to be removed as soon as it ends, or others start it as well.
        """
        if self.record["options"]["remove"]:
            raise Conflict(f"container {self.id[:12]} is removed when it ends", hint="run another")
        self.stop(timeout, signal)
        return self.start()

    def pause(self) -> None:
        """Hold every process of it where it is, until `unpause`.

        Raises: Conflict: it does not run, or is paused already.
        """
        from onggi.engine import pausing

        pausing.pause(self)

    def unpause(self) -> None:
        """Let its processes go on. Raises: Conflict: it is not paused."""
        from onggi.engine import pausing

        pausing.unpause(self)

    def rename(self, name: str) -> None:
        """Give it another name; its host name stays.

        Raises: NameTaken; InvalidInput: that cannot be a name, or is the one it has.
        """
        self.record = self._store.containers.rename(self.id, name)

    def update(self, limits: dict[str, Any]) -> list[str]:
        """Change what it may use, now and whenever it is started.

        Args: limits: those of ContainerOptions.limits that are to be others; see
            options.CHANGEABLE.
        Returns: a warning for each that this host cannot grant.
        Raises: InvalidInput; Conflict: the kernel refuses them, and all are as before.
        """
        from onggi.engine import updating

        return updating.update(self, limits, self._engine.host)

    def top(self, *options: str) -> dict[str, Any]:
        """Tell of its processes what the host's ps(1) does (Docker Engine API, ContainerTop).

        Args: options: those of ps, which must leave the PID column; -ef if there are none.
        Raises: Conflict: it does not run.
        """
        from onggi.engine import top

        return top.processes(self, list(options))

    def remove(self, *, force: bool = False, volumes: bool = False) -> None:
        """Remove it with all it wrote; with `volumes` also those that nobody named.

        Raises: Conflict: it runs, and `force` is not given.
        """
        from onggi.engine import removal

        removal.remove(self, force=force, volumes=volumes)

    def logs(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> Iterator[LogLine]:
        """Read what it wrote: the last `tail` lines, between two times in ns since the epoch.

        With `follow` it goes on until the container ends.
        """
        from onggi.engine import logs

        return logs.read(self, follow=follow, tail=tail, since=since, until=until)

    def stats(self) -> Usage:
        """Measure what it uses. Raises: Conflict: it does not run."""
        from onggi.engine import cgroups
        from onggi.resources.measure import measure

        current = self.require_running()
        paths = cgroups.directories(self.id, self.record, current.pid)
        if not paths:
            raise Unsupported(
                f"container {self.id[:12]} has no control group, so nothing is measured",
                hint="see docs/rootless.md on delegation",
            )
        return measure(paths)

    def changes(self) -> list[tuple[str, str]]:
        """Tell how its files differ from its image's: ("A", "C" or "D", path), by path.

        Raises: Unsupported: what it wrote is not on the disk.
        """
        self._require_disk()
        return self._store.snapshots.changes(self.id, self.owners())

    def export(self, file: BinaryIO) -> None:
        """Write its whole file system as a tar archive."""
        from onggi.store.tar_write import tree_archive

        self._require_disk()
        trees = self._store.snapshots.stack(self.id)
        file.writelines(tree_archive(trees, owners=self.owners()))

    def owners(self) -> Owners | None:
        """Return how the owners of what it wrote are to be read, if it has its own users."""
        linux = self.record["config"]["linux"]
        if "uidMappings" not in linux:
            return None
        from onggi.runtime.plan.users import user_map
        from onggi.store.owners import Owners

        mapping = user_map(linux)
        return Owners(mapping.uids, mapping.gids)

    def copy_out(
        self, path: str, target: str, *, follow: bool = False, archive: bool = False
    ) -> int:
        """Copy a file or tree of the container to this host, by the rules of `cp -r`.

        Args:
            path: in the container.
            target: on this host.
            follow: whether a link at the end of `path` stands for what it leads to.
            archive: whether all keeps its owners, by number; without, it is the caller's.

        Returns: the bytes of the archive that it went through.
        Raises: NotFound; Conflict: it would replace a file by a directory, or the reverse.
        """
        from onggi.engine import copying, files

        owner = None if archive else lambda _uid, _gid: (os.geteuid(), os.getegid())
        with files.of_container(self) as source, files.of_host() as host:
            place = copying.absolute(target)
            return copying.copy(source, path, host, place, follow=follow, owner=owner)

    def copy_in(
        self, source: str, path: str, *, follow: bool = False, archive: bool = False
    ) -> int:
        """Copy a file or tree of this host into the container, by the rules of `cp -r`.

        Args, result and errors are those of `copy_out`, with the container's root as the owner.
        """
        from onggi.engine import copying, files

        owner = None if archive else lambda _uid, _gid: (0, 0)
        with files.of_host() as host, files.of_container(self, writing=True) as target:
            place = copying.absolute(source)
            return copying.copy(host, place, target, path, follow=follow, owner=owner)

    def get_archive(
        self, path: str, *, follow: bool = False
    ) -> tuple[Iterator[bytes], dict[str, Any]]:
        """Return a file or tree as a tar archive, in pieces, and what is known of it.

        That has the shape of Docker's X-Docker-Container-Path-Stat: name, size, mode, mtime,
        linkTarget.

        Raises: NotFound
        """
        from onggi.engine import copying, files

        with files.of_container(self) as source:
            known = copying.known(source, path, follow=follow)
        return copying.take(lambda: files.of_container(self), path, follow=follow), known

    def put_archive(self, path: str, data: bytes | BinaryIO) -> None:
        """Unpack a tar archive, compressed or not, into a directory of the container.

        Owners are those that the archive states, by number.

        Raises: NotFound, Conflict: there is no such directory, or a file would replace one;
            BadArchive, ArchiveRefused.
        """
        from onggi.engine import copying, files

        with files.of_container(self, writing=True) as target:
            copying.require_directory(target, path)
            copying.put(target, path, copying.unpacked(data), owner=None)

    def read(self, path: str) -> bytes:
        """Return what a regular file of the container holds.

        Raises: NotFound; Conflict: something else has the name.
        """
        from onggi.engine import copying, files

        with files.of_container(self) as source:
            return copying.read(source, path)

    def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Make, or replace, a file of the container that belongs to its root.

        Raises: NotFound: its directory is not there; Conflict: a directory has the name.
        """
        from onggi.engine import copying, files

        with files.of_container(self, writing=True) as target:
            copying.write(target, path, data, mode)

    def commit(
        self,
        *,
        reference: str | None = None,
        message: str = "",
        author: str = "",
        changes: list[str] | None = None,
        pause: bool = True,
    ) -> str:
        """Make an image of it as it is now; return the image's ID.

        Args: changes: Dockerfile instructions such as `CMD ["sh"]`, applied to the image's
            configuration. pause: hold it meanwhile, if it runs.
        """
        from contextlib import nullcontext

        from onggi.engine import committing, pausing

        self._require_disk()
        with pausing.Held(self) if pause else nullcontext():
            return committing.commit(self, reference, message, author, changes or [])

    def inspect(self, *, size: bool = False) -> dict[str, Any]:
        """Return all that is known of it, in the Docker Engine API's shape.

        Args: size: add up what it wrote, and all that it sees, too.
        """
        from onggi.engine import inspection, summaries

        return inspection.container(self) | (summaries.sizes(self) if size else {})

    def summary(self, *, size: bool = False) -> dict[str, Any]:
        """Return what `ps` shows, in the Docker Engine API's shape."""
        from onggi.engine import summaries

        return summaries.container(self, size=size)

    def security(self) -> Report:
        """Report what it could do, as the kernel sees it if it runs; nothing is executed in it."""
        from onggi.engine.security import examine

        return examine.container(self._engine, self)

    def trees(self) -> list[str]:
        """Return the directories that its root is made of, the topmost first."""
        return self._store.snapshots.stack(self.id)

    def size(self) -> int:
        """Return the bytes that it wrote."""
        return self._store.snapshots.usage(self.id)

    def explain(self) -> str:
        """Return the shell script that makes a container like it, without Onggi."""
        return self._engine.script(self.record, self._rootfs())


def _send(current: State, signal: int) -> None:
    pidfd = process.pidfd_open(current.pid)
    try:
        # The descriptor holds whoever has the number now; it is ours if it still began then.
        if current.is_alive():
            process.pidfd_send_signal(pidfd, signal)
    finally:
        os.close(pidfd)
