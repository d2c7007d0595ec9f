"""Volumes: directories with names, whose contents outlive containers."""

from __future__ import annotations

import os

from onggi.errors import Corrupt, NotFound
from onggi.oci import jsontext
from onggi.store.atomic import read_file, sync_directory, write_new
from onggi.store.names import require_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Any

    from onggi.store.workshop import Workshop

_RECORD = "volume.json"
_DATA = "_data"


class VolumeNotFound(NotFound):
    """No volume has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such volume: {name}")
        self.name = name


class Volumes:
    """The volumes of a store. Who uses one is the engine's to know."""

    __slots__ = ("_durable", "_root", "_workshop")

    def __init__(self, root: str, workshop: Workshop, *, durable: bool = True) -> None:
        self._root = f"{root}/volumes"
        self._workshop = workshop
        self._durable = durable

    def create(self, name: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make a volume, or find the one of this name; return its record.

        Of racing processes one makes it, and all get the record of that one.

        Raises: InvalidInput: the name could not be a directory's.
        """
        require_name(name, "volume name")
        if not os.path.exists(f"{self._root}/{name}"):
            self._make(name, {**(data or {}), "name": name})
        return self.get(name)

    def get(self, name: str) -> dict[str, Any]:
        """Return the volume's record: `name` and what it was created with.

        Raises: VolumeNotFound, Corrupt
        """
        path = f"{self._root}/{self._checked(name)}/{_RECORD}"
        try:
            record = jsontext.loads(read_file(path))
        except FileNotFoundError:
            raise VolumeNotFound(name) from None
        except ValueError as error:
            raise Corrupt(f"{path} is not a volume's record") from error
        if not isinstance(record, dict):
            raise Corrupt(f"{path} is not a volume's record")
        return record

    def path(self, name: str) -> str:
        """Return the directory that containers see.

        Raises: VolumeNotFound
        """
        path = self.data_path(name)
        if not os.path.isdir(path):
            raise VolumeNotFound(name)
        return path

    def data_path(self, name: str) -> str:
        """Return where that directory is, or would be. Raises: VolumeNotFound: for no name."""
        return f"{self._root}/{self._checked(name)}/{_DATA}"

    def fill(self, name: str, trees: Sequence[str]) -> None:
        """Copy stacked directories into the volume, unless there is something in it already.

        The volume's own directory takes the owner and mode of theirs. Of racing processes one
        copies and the others wait for it; until all is copied and on the disk, it stays empty.

        Args: trees: as containers see them, the topmost first.
        Raises: VolumeNotFound; OSError: the file system is full, or fails.
        """
        import fcntl

        # Not on what containers see: a program in one could hold that lock for ever.
        try:
            lock_fd = os.open(f"{self._root}/{self._checked(name)}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise VolumeNotFound(name) from None
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX)
            if not os.listdir(self.path(name)):
                self._fill(self.path(name), trees)
        finally:
            os.close(lock_fd)

    def list(self) -> Iterator[dict[str, Any]]:
        """Load the record of every volume, by name."""
        for name in sorted(os.listdir(self._root)):
            try:
                yield self.get(name)
            except VolumeNotFound:
                continue  # removed meanwhile

    def remove(self, name: str) -> None:
        """Remove the volume and all that is in it. Nothing may have it mounted.

        Raises: VolumeNotFound
        """
        doomed = self._workshop.new_name()
        try:
            os.rename(f"{self._root}/{self._checked(name)}", doomed)
        except FileNotFoundError:
            raise VolumeNotFound(name) from None
        self._workshop.remove(doomed)

    def remove_unnamed_of(self, containers: Collection[str]) -> None:
        """Remove the volumes that were made for these containers, which never came to be.

        They are those whose records say so: `anonymous`, and the ID under `container`.
        """
        for record in self.list():
            if record.get("anonymous") and record.get("container") in containers:
                try:
                    self.remove(record["name"])
                except VolumeNotFound:
                    continue  # another process removes them, too

    def _make(self, name: str, record: dict[str, Any]) -> None:
        half_made = self._workshop.new_directory()
        try:
            os.mkdir(f"{half_made}/{_DATA}")
            os.chmod(f"{half_made}/{_DATA}", 0o755)  # whatever the caller's umask is
            data = jsontext.dumps(record).encode()
            write_new(f"{half_made}/{_RECORD}", data, durable=self._durable)
            self._publish(half_made, name)
        finally:
            self._workshop.remove(half_made)

    def _fill(self, data: str, trees: Sequence[str]) -> None:
        from onggi.linux.fd import Fd
        from onggi.linux.sync import syncfs
        from onggi.store.attributes import copy_attributes
        from onggi.store.byte_source import ByteSource
        from onggi.store.tar_limits import Limits
        from onggi.store.tar_write import tree_archive
        from onggi.store.unpack import extract

        half_made = self._workshop.new_directory()
        try:
            extract(ByteSource(tree_archive(trees)), half_made, Limits())
            with Fd(os.open(half_made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as copied:
                if self._durable:
                    syncfs(copied)
                moment_ns = os.fstat(copied.fileno()).st_mtime_ns  # before renaming changes it
                for entry in os.listdir(half_made):
                    os.rename(f"{half_made}/{entry}", f"{data}/{entry}")
                copy_attributes(copied.fileno(), os.fsencode(data))
                os.utime(data, ns=(moment_ns, moment_ns))
            if self._durable:
                sync_directory(data)
        finally:
            self._workshop.remove(half_made)

    def _publish(self, half_made: str, name: str) -> None:
        if self._durable:
            sync_directory(half_made)
        try:
            os.rename(half_made, f"{self._root}/{name}")
        except OSError:
            if not os.path.exists(f"{self._root}/{name}"):
                raise
        if self._durable:
            sync_directory(self._root)

    def _checked(self, name: str) -> str:
        """Refuse as unknown what could not be a volume's name, such as `..`."""
        if not name or "/" in name or "\0" in name or name.startswith("."):
            raise VolumeNotFound(name)
        return name
