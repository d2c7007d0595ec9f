"""Making the host's side of a RUN's mounts: what lies behind each, safe to be bound.

A path that a Dockerfile names is resolved inside its own root: the context, a stage, a cache. What
comes from the context or from part of a stage is copied to a private place first, so that
.dockerignore holds, nothing that a command writes comes back, and no link can be exchanged between
the check and the mount. A whole stage is mounted as the layers it is, if the kernel takes any
number of them (Linux 6.7); else it is copied too.
"""

from __future__ import annotations

import os
import posixpath

from onggi.build.copying import Attributes, Destination
from onggi.build.errors import BuildError
from onggi.build.rootfs import layer_by_layer
from onggi.build.selection import Selection
from onggi.build.sources import Stack
from onggi.linux.fd import Fd
from onggi.linux.probe import probe_overlay_lowerdir_append
from onggi.oci.mount import Mount
from onggi.store.attributes import set_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from onggi.build.bench import Bench
    from onggi.build.run_mounts import RunMount
    from onggi.build.tree import Found

_SAFE = ("nosuid", "nodev")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Mounting:
    """The mounts of one RUN; leaving the `with` block undoes what was prepared.

    Attributes:
        mounts: for the executor, in the order of the instruction. env: secrets that are
            variables, ``NAME=value``.
    """

    def __init__(self, bench: Bench, working_dir: str) -> None:
        self._bench = bench
        self._working_dir = working_dir
        self._places: list[str] = []
        self._snapshots: list[str] = []
        self._held: list[Fd] = []
        self.mounts: list[Mount] = []
        self.env: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        store = self._bench.store
        for place in self._places:
            store.workshop.remove(place)
        for key in self._snapshots:
            store.snapshots.remove(key)
        for held in self._held:
            held.close()
        self._bench.secrets.close()

    def add(self, mount: RunMount) -> None:
        """Prepare one mount.

        Raises: BuildError: what it names is not there, or a secret is missing.
        """
        if mount.type == "secret":
            self._secret(mount)
        elif mount.type == "tmpfs":
            size = (f"size={mount.size}",) if mount.size else ()
            self._attach(mount, "tmpfs", "tmpfs", (*_SAFE, "mode=1777", *size))
        elif mount.type == "cache":
            self._attach(mount, "bind", self._cache(mount), ("bind", *_SAFE))
        else:
            self._bind(mount)

    def add_script(self, name: str, text: str, target: str) -> None:
        """Show an executable file with this text at `target`/`name`."""
        place = self._new_place()
        with Fd(os.open(f"{place}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)) as file:
            rest = memoryview(text.encode("utf-8", "surrogateescape"))
            while rest:
                rest = rest[os.write(file.fileno(), rest) :]
        self.mounts.append(Mount(type="bind", source=place, target=target, options=("bind", "ro")))

    def _attach(self, mount: RunMount, kind: str, source: str, options: tuple[str, ...]) -> None:
        access = "ro" if mount.read_only else "rw"
        target = posixpath.normpath(posixpath.join("/", self._working_dir, mount.target))
        self.mounts.append(
            Mount(type=kind, source=source, target=target, options=(*options, access))
        )

    def _new_place(self) -> str:
        place = self._bench.store.workshop.new_directory(0o755)
        self._places.append(place)
        return place

    def _secret(self, mount: RunMount) -> None:
        data = self._bench.secrets.read(mount)
        if data is None:
            return
        if mount.env:
            if b"\0" in data:
                raise BuildError(f"secret {mount.id} has a NUL byte, so it cannot be a variable")
            self.env.append(f"{mount.env}={os.fsdecode(data)}")
        if mount.target:
            source = self._bench.secrets.file(mount, data)
            self._attach(mount, "bind", source, ("bind", *_SAFE, "noexec"))

    def _bind(self, mount: RunMount) -> None:
        stack = self._bench.stack(mount.source_stage)
        whole = posixpath.normpath(f"/{mount.source}") in ("/", "//")
        if isinstance(stack, Stack) and whole and probe_overlay_lowerdir_append():
            overlay = layer_by_layer(self._whole(stack.chain, mount.read_only))
            self._attach(mount, overlay.type, overlay.source, overlay.options)
            return
        selection = Selection(self._bench, stack, [mount.source])
        for choice in selection.choices():
            source = self._copied(selection, choice.found)
            self._attach(mount, "bind", source, ("bind", *_SAFE))

    def _whole(self, chain: tuple[str, ...], read_only: bool) -> Mount:
        """Mount a stage as it is; what is written into it is thrown away."""
        from onggi.oci.digest import Digest

        diff_ids = [Digest(diff_id) for diff_id in chain]
        snapshots = self._bench.store.snapshots
        if read_only:
            [overlay] = snapshots.view(diff_ids)
            return overlay
        key = f"build-{os.urandom(8).hex()}"
        snapshots.prepare(key, diff_ids, durable=False)
        self._snapshots.append(key)
        [overlay] = snapshots.mounts(key)
        return overlay

    def _copied(self, selection: Selection, found: Found) -> str:
        """Copy what was found to a private place."""
        place = self._new_place()
        with Fd(os.open(place, _DIRECTORY)) as root:
            destination = Destination(root.fileno(), Attributes())
            destination.copy(selection.tree, found, "/source", selection.skipper(found))
        return f"{place}/source"

    def _cache(self, mount: RunMount) -> str:
        """Return the directory of a cache, made and filled if it is new, locked if so asked.

        `source` says what of `from` it begins as. Without `from` it only makes the cache another
        one: it is never a path through a cache, which other commands may be filling with links.
        """
        from onggi.build.cache_mounts import take_cache

        identity = mount.id or posixpath.normpath(mount.target)
        path, is_new, lock = take_cache(
            self._bench.cache.mounts(), f"{identity}\0{mount.source}", mount.sharing
        )
        self._held.append(lock)
        if is_new:
            with Fd(os.open(path, _DIRECTORY)) as directory:
                self._fill(mount, directory)
        return path

    def _fill(self, mount: RunMount, directory: Fd) -> None:
        os.fchmod(directory.fileno(), 0o755 if mount.mode is None else mount.mode)
        set_owner(directory.fileno(), mount.uid or 0, mount.gid or 0)
        stack = self._bench.stack(mount.source_stage)
        if stack is None:
            return
        selection = Selection(self._bench, stack, [mount.source or "/"])
        destination = Destination(directory.fileno(), Attributes())
        for choice in selection.choices():
            destination.copy(selection.tree, choice.found, "/", selection.skipper(choice.found))
