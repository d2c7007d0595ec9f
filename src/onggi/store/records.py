"""Records of containers: one directory each, one JSON document in it, names with one winner.

A container's directory may exist before its record (the snapshot is prepared first, or the record
is written first: both orders work), but only a record makes it a container. A name is a symbolic
link whose text is the ID; it counts only while that container has a record.
"""

from __future__ import annotations

import errno
import os

from onggi.errors import AlreadyExists, Corrupt, InvalidInput, NotFound
from onggi.oci import jsontext
from onggi.store.atomic import read_file, sync_directory, unlink_if_exists, write_file, write_new
from onggi.store.locks import DirectoryLock, Lock
from onggi.store.names import require_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from onggi.store.workshop import Workshop

RECORD = "record.json"
_AMBIGUOUS_SHOWN = 3


class ContainerNotFound(NotFound):
    """No container has this name, ID or beginning of an ID."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such container: {name}")
        self.name = name


class NameTaken(AlreadyExists):
    """Another container has the name, or the ID."""

    def __init__(self, name: str, container: str) -> None:
        super().__init__(
            f"the container name {name!r} is already in use by container {container}",
            hint="remove or rename that container, or choose another name",
        )
        self.name = name
        self.container = container


class Records:
    """The containers of a store, as data; what the data means is the engine's business."""

    __slots__ = ("_durable", "_names", "_names_lock", "_root", "_workshop")

    def __init__(self, root: str, workshop: Workshop, *, durable: bool = True) -> None:
        self._root = f"{root}/containers"
        self._names = f"{root}/names"
        self._names_lock = f"{root}/locks/names"
        self._workshop = workshop
        self._durable = durable

    def path(self, container: str) -> str:
        """Return the container's directory, where its owner may keep other files."""
        return f"{self._root}/{container}"

    def create(
        self, container: str, name: str, data: dict[str, Any], *, durable: bool | None = None
    ) -> None:
        """Make a container's record from `data`, adding its `id` and `name`.

        Of any number of processes that race for a name, one succeeds; the others change nothing.
        `durable=False`: power loss may undo it.

        Raises:
            InvalidInput: the ID or the name could not be a file's name.
            NameTaken: another container has the name, or the ID is in use.
        """
        require_name(container, "container ID")
        require_name(name, "container name")
        durable = self._durable if durable is None else durable
        half_made = self._workshop.new_directory()
        record = {**data, "id": container, "name": name}
        write_new(f"{half_made}/{RECORD}", _encode(record), durable=durable)
        try:
            with Lock(self._names_lock):
                self._take_name(name, container)
                self._publish(half_made, container)
        finally:
            _remove_stage(half_made)
        if durable:
            for directory in (self.path(container), self._root, self._names):
                sync_directory(directory)

    def load(self, container: str) -> dict[str, Any]:
        """Return the container's record, given its full ID.

        Raises: ContainerNotFound, Corrupt
        """
        path = f"{self.path(container)}/{RECORD}"
        try:
            record = jsontext.loads(read_file(path))
        except (FileNotFoundError, NotADirectoryError):
            raise ContainerNotFound(container) from None
        except ValueError as error:
            raise Corrupt(f"{path} is not a container's record") from error
        if not isinstance(record, dict):
            raise Corrupt(f"{path} is not a container's record")
        return record

    def update(
        self,
        container: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        durable: bool | None = None,
    ) -> dict[str, Any]:
        """Replace the record by what `change` makes of it, as one step; return the new one.

        `change` runs under the container's lock: keep it short, and never update in it again.

        Raises: ContainerNotFound, Corrupt; what `change` raises leaves the record as it was.
        """
        directory = self.path(container)
        with DirectoryLock(directory, ContainerNotFound(container)):
            record = change(self.load(container))
            write_file(
                f"{directory}/{RECORD}",
                _encode(record),
                durable=self._durable if durable is None else durable,
                staging=self._workshop.path,
            )
            return record

    def rename(self, container: str, name: str) -> dict[str, Any]:
        """Give a container another name; return its record. Of several who race, one wins.

        Cut short, it has one name or the other in its record, and the other soon is nobody's.

        Raises: InvalidInput: it cannot be a name, or is the one that it has; NameTaken;
            ContainerNotFound.
        """
        require_name(name, "container name")
        with Lock(self._names_lock):
            before = self.load(container)["name"]
            if name == before:
                raise InvalidInput("renaming a container with the same name as its current name")
            self._point(name, container)
            if self._durable:
                sync_directory(self._names)  # before the record says so
            record = self.update(container, lambda record: {**record, "name": name})
            unlink_if_exists(f"{self._names}/{before}")
        return record

    def resolve(self, text: str) -> str:
        """Find the ID that a full ID, a name, or the beginning of an ID means, in this order.

        Raises: ContainerNotFound; InvalidInput: several IDs begin so.
        Source: moby daemon/container.go, GetContainer.
        """
        if not text or "/" in text or "\0" in text:
            raise ContainerNotFound(text)
        if self._exists(text):
            return text
        named = self._named(text)
        if named is not None:
            return named
        found = sorted(each for each in os.listdir(self._root) if each.startswith(text))
        found = [each for each in found if self._exists(each)]
        if len(found) > 1:
            raise _ambiguous(text, found)
        if not found:
            raise ContainerNotFound(text)
        return found[0]

    def ids(self) -> tuple[str, ...]:
        """Return the ID of every container, in no order that means anything."""
        return tuple(each for each in os.listdir(self._root) if self._exists(each))

    def list(self) -> Iterator[dict[str, Any]]:
        """Load every record; those that are removed meanwhile are left out."""
        for container in os.listdir(self._root):
            try:
                yield self.load(container)
            except ContainerNotFound:
                continue  # a snapshot without a record, or a container removed just now

    def delete(self, container: str) -> None:
        """Remove the container's directory with all that is in it, and its name.

        What it had mounted must have been unmounted. Success means that it is gone for everybody.

        Raises: ContainerNotFound
        """
        doomed = self._workshop.new_name()
        with Lock(self._names_lock):
            name = self.load(container)["name"]
            # Killed after this one step, what is left is a name of nobody, which is nobody's.
            os.rename(self.path(container), doomed)
            if self._link(name) == container:
                unlink_if_exists(f"{self._names}/{name}")
        self._workshop.remove(doomed)

    def sweep_names(self) -> None:
        """Remove names whose container was never finished, is gone, or is called otherwise."""
        with Lock(self._names_lock):
            for name in os.listdir(self._names):
                if not self._is_called(name):
                    unlink_if_exists(f"{self._names}/{name}")

    def _is_called(self, name: str) -> bool:
        container = self._named(name)
        try:
            return container is not None and self.load(container)["name"] == name
        except ContainerNotFound:
            return False  # removed just now, but for its name

    def _take_name(self, name: str, container: str) -> None:
        """Point the name at the container. Under the names' lock, so a dead link is nobody's."""
        if self._exists(container):
            raise NameTaken(container, container)
        self._point(name, container)

    def _point(self, name: str, container: str) -> None:
        holder = self._named(name)
        if holder is not None:
            raise NameTaken(name, holder)
        unlink_if_exists(f"{self._names}/{name}")
        os.symlink(container, f"{self._names}/{name}")

    def _publish(self, half_made: str, container: str) -> None:
        try:
            os.rename(f"{half_made}/{RECORD}", f"{self.path(container)}/{RECORD}")
        except FileNotFoundError:  # no snapshot was prepared yet
            os.rename(half_made, self.path(container))

    def _exists(self, container: str) -> bool:
        return os.path.exists(f"{self._root}/{container}/{RECORD}")

    def _link(self, name: str) -> str | None:
        try:
            return os.readlink(f"{self._names}/{name}")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINVAL, errno.ENAMETOOLONG):
                return None  # no such name, or one that no file could have
            raise

    def _named(self, name: str) -> str | None:
        container = self._link(name)
        return container if container and self._exists(container) else None


def _encode(record: dict[str, Any]) -> bytes:
    return jsontext.dumps(record).encode()


def _remove_stage(half_made: str) -> None:
    unlink_if_exists(f"{half_made}/{RECORD}")
    try:
        os.rmdir(half_made)
    except FileNotFoundError:
        return  # it has become the container's directory


def _ambiguous(text: str, found: list[str]) -> InvalidInput:
    shown = ", ".join(each[:12] for each in found[:_AMBIGUOUS_SHOWN])
    more = ", ..." if len(found) > _AMBIGUOUS_SHOWN else ""
    return InvalidInput(
        f"container ID prefix {text!r} is ambiguous: {shown}{more}", hint="give more characters"
    )
