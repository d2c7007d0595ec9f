"""Copying into an image's root: the effects of COPY, ADD and WORKDIR.

Every destination is resolved by the kernel inside the root. The last name of a path is then made
in the directory that holds it, by name; a link that has the name is replaced, not followed.

Source: tonistiigi/fsutil, copy/copy.go, for what goes where and what keeps its attributes.
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.build.content import extended_attributes
from onggi.build.errors import BuildError
from onggi.linux.fd import Fd
from onggi.linux.path import O_PATH, Inside
from onggi.store.attributes import set_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from onggi.build.ownership import Permissions
    from onggi.build.tree import Entry, Found, Tree

_CHUNK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Attributes:
    """What is changed on the way: owner (uid, gid), permissions and time, or None to keep each."""

    __slots__ = ("owner", "permissions", "time_ns")

    def __init__(
        self,
        *,
        owner: tuple[int, int] | None = None,
        permissions: Permissions | None = None,
        time_ns: int | None = None,
    ) -> None:
        self.owner = owner
        self.permissions = permissions
        self.time_ns = time_ns


class Destination:
    """An image's root, as a place to copy to.

    Args:
        root_fd: borrowed. attributes: how everything that is made here differs from its source.
    """

    def __init__(self, root_fd: int, attributes: Attributes) -> None:
        self.inside = Inside(root_fd)
        self.attributes = attributes
        self._first_names: dict[tuple[int, int], str] = {}
        self._directories: list[tuple[str, tuple[int, int]]] = []

    def make_directories(self, path: str) -> None:
        """Make a directory and those above it, where missing, with our owner and time.

        Raises: BuildError: something else has one of their names.
        """
        try:
            made = self._missing(path)
            with Fd(self.inside.make_directories(path, 0o755)):
                pass
        except (NotADirectoryError, FileExistsError) as error:
            raise BuildError(
                f"cannot make directory /{path.strip('/')}", hint="what is there is no directory"
            ) from error
        for missing in made:
            with Fd(self.inside.open(missing, os.O_RDONLY | os.O_DIRECTORY)) as directory:
                os.fchmod(directory.fileno(), 0o755)
                set_owner(directory.fileno(), *(self.attributes.owner or (0, 0)))
                self._set_time(directory)

    def _missing(self, path: str) -> list[str]:
        """List those of the directories of a path that do not exist yet, the deepest first."""
        missing = []
        parts = [part for part in path.split("/") if part]
        while parts and not self._exists("/".join(parts)):
            missing.append("/".join(parts))
            parts.pop()
        return missing

    def _exists(self, path: str) -> bool:
        try:
            with Fd(self.inside.open(path, O_PATH)):
                return True
        except FileNotFoundError:
            return False

    def _set_time(self, directory: Fd) -> None:
        if self.attributes.time_ns is not None:
            os.utime(directory.fileno(), ns=(self.attributes.time_ns,) * 2)

    def is_directory(self, path: str) -> bool:
        """Whether something is there, links followed, and a directory."""
        try:
            with Fd(self.inside.open(path, O_PATH | os.O_DIRECTORY)):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False

    def copy(self, tree: Tree, found: Found, path: str, skip: Callable[[Entry], bool]) -> None:
        """Copy what was found: a directory's contents into `path`, a file into or to `path`.

        A `path` that ends with a slash is a directory, made if missing.
        """
        directory = path if path.endswith("/") or found.is_directory else os.path.dirname(path)
        above = os.path.dirname(path.rstrip("/")) if found.is_directory else directory
        self.make_directories(above)
        if found.is_directory:
            self._copy_directory(tree, found, path, skip)
            return
        if self.is_directory(path):
            path = f"{path.rstrip('/')}/{found.name}"
        for entry in tree.walk(found):
            if not skip(entry):
                self.put(entry, path, tree.owned_by_root)

    def _copy_directory(
        self, tree: Tree, found: Found, path: str, skip: Callable[[Entry], bool]
    ) -> None:
        self._require_room(path)
        existed = self.is_directory(path)
        skipped = ""
        for entry in tree.walk(found):
            if skipped and entry.path.startswith(skipped):
                continue
            if entry.path and skip(entry):
                skipped = f"{entry.path}/"
            elif entry.path:
                self.put(entry, f"{path.rstrip('/')}/{entry.path}", tree.owned_by_root)
            elif not existed:
                self.put(entry, path.rstrip("/"), tree.owned_by_root)
        self.settle_times()

    def _require_room(self, path: str) -> None:
        try:
            with Fd(self.inside.open(path, O_PATH)) as place:
                if not stat.S_ISDIR(os.fstat(place.fileno()).st_mode):
                    raise BuildError(f"cannot copy to non-directory: {path}")
        except FileNotFoundError:
            return

    def put(self, entry: Entry, path: str, owned_by_root: bool = False) -> None:
        """Make a copy of one entry at `path`, whose parent exists."""
        number, name = self.inside.open_parent(path)
        with Fd(number) as parent:
            if entry.is_directory:
                self._put_directory(entry, parent, name, path, owned_by_root)
                return
            _make_room(parent, name, path)
            if self._linked(entry, parent, name, path):
                return
            if entry.is_file:
                self._put_file(entry, parent, name, owned_by_root)
            elif entry.is_link:
                os.symlink(entry.read_link(), name, dir_fd=parent.fileno())
                self._finish_link(entry, parent, name, owned_by_root)
            else:
                _make_node(entry, parent, name, path)
                self._finish_link(entry, parent, name, owned_by_root)

    def put_stream(self, pieces: Iterable[bytes], path: str, mode: int, time_ns: int) -> None:
        """Make a file of what comes, piece by piece, at `path`, whose parent exists."""
        number, name = self.inside.open_parent(path)
        with Fd(number) as parent:
            _make_room(parent, name, path)
            with Fd(os.open(name, _NEW, 0o600, dir_fd=parent.fileno())) as file:
                _write(file, pieces)
                self._finish(file, mode, (0, 0), time_ns)

    def _put_directory(
        self, entry: Entry, parent: Fd, name: bytes, path: str, owned_by_root: bool
    ) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent.fileno())
        except FileExistsError:
            status = os.stat(name, dir_fd=parent.fileno(), follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                raise BuildError(f"cannot copy to non-directory: {path}") from None
        with Fd(os.open(name, _OPEN_DIRECTORY, dir_fd=parent.fileno())) as directory:
            self._finish(directory, entry.mode, _owner(entry, owned_by_root), None)
        # What is copied into it moves its time, so that is set last.
        time_ns = self.attributes.time_ns
        if time_ns is None:
            time_ns = entry.status.st_mtime_ns
        self._directories.append((path, (time_ns, time_ns)))

    def settle_times(self) -> None:
        """Set the times of the directories that were copied; nothing is put into them any more."""
        for path, times in reversed(self._directories):
            with Fd(self.inside.open(path, _OPEN_DIRECTORY)) as directory:
                os.utime(directory.fileno(), ns=times)
        self._directories.clear()

    def _put_file(self, entry: Entry, parent: Fd, name: bytes, owned_by_root: bool) -> None:
        with (
            Fd(entry.open()) as source,
            Fd(os.open(name, _NEW, 0o600, dir_fd=parent.fileno())) as file,
        ):
            _copy_data(source, file)
            owner = _owner(entry, owned_by_root)
            self._finish(file, entry.status.st_mode, owner, entry.status.st_mtime_ns)
            # After the owner: changing that removes capabilities.
            for attribute, value in extended_attributes(source).items():
                _set_attribute(file, attribute, value)

    def _finish(self, file: Fd, mode: int, owner: tuple[int, int], time_ns: int | None) -> None:
        """Set owner, permissions and time, in this order: chown clears set-user-ID bits."""
        set_owner(file.fileno(), *(self.attributes.owner or owner))
        permissions = stat.S_IMODE(mode)
        if self.attributes.permissions is not None:
            is_directory = stat.S_ISDIR(os.fstat(file.fileno()).st_mode)
            permissions = self.attributes.permissions.apply(permissions, is_directory)
        os.fchmod(file.fileno(), permissions)
        if self.attributes.time_ns is not None:
            time_ns = self.attributes.time_ns
        if time_ns is not None:
            os.utime(file.fileno(), ns=(time_ns, time_ns))

    def _finish_link(self, entry: Entry, parent: Fd, name: bytes, owned_by_root: bool) -> None:
        """Set what a link, a device or a fifo has, without opening it."""
        owner = self.attributes.owner or _owner(entry, owned_by_root)
        set_owner(name, *owner, dir_fd=parent.fileno())
        if not entry.is_link:
            # It was made just now, in a root that only this build has: no link can be in its place.
            os.chmod(name, stat.S_IMODE(entry.status.st_mode), dir_fd=parent.fileno())
        time_ns = self.attributes.time_ns
        if time_ns is None:
            time_ns = entry.status.st_mtime_ns
        os.utime(name, ns=(time_ns, time_ns), dir_fd=parent.fileno(), follow_symlinks=False)

    def _linked(self, entry: Entry, parent: Fd, name: bytes, path: str) -> bool:
        """Make a second name of a file that was copied under its first, if it has several."""
        status = entry.status
        if status.st_nlink < 2 or not entry.is_file:
            return False
        first = self._first_names.setdefault((status.st_dev, status.st_ino), path)
        if first == path:
            return False
        number, first_name = self.inside.open_parent(first)
        with Fd(number) as first_parent:
            os.link(
                first_name,
                name,
                src_dir_fd=first_parent.fileno(),
                dst_dir_fd=parent.fileno(),
                follow_symlinks=False,
            )
        return True


def _make_node(entry: Entry, parent: Fd, name: bytes, path: str) -> None:
    try:
        os.mknod(name, entry.status.st_mode, entry.status.st_rdev, dir_fd=parent.fileno())
    except PermissionError:
        raise BuildError(
            f"cannot copy device {path}", hint="only root may make device nodes"
        ) from None


def _owner(entry: Entry, owned_by_root: bool) -> tuple[int, int]:
    return (0, 0) if owned_by_root else (entry.status.st_uid, entry.status.st_gid)


def _make_room(parent: Fd, name: bytes, path: str) -> None:
    """Remove a file or link that has the name; a directory stays, and is an error."""
    try:
        os.unlink(name, dir_fd=parent.fileno())
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        raise BuildError(f"cannot replace directory {path} with a file") from None


def _write(file: Fd, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(file.fileno(), rest) :]


def _copy_data(source: Fd, target: Fd) -> None:
    """Copy all bytes, in the kernel where it can: sharing blocks, or without passing them by us."""
    copy = _by_range
    while True:
        try:
            if not copy(source, target):
                return
        except OSError as error:
            refused = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
            if copy is not _by_range or error.errno not in refused:
                raise
            copy = _by_hand


def _by_range(source: Fd, target: Fd) -> int:
    return os.copy_file_range(source.fileno(), target.fileno(), _CHUNK * 64)


def _by_hand(source: Fd, target: Fd) -> int:
    data = os.read(source.fileno(), _CHUNK)
    _write(target, [data])
    return len(data)


def _set_attribute(file: Fd, name: str, value: bytes) -> None:
    try:
        os.setxattr(file.fileno(), name, value)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
