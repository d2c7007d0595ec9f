"""Putting an archive's files among those that are there already, while others use the tree.

Unlike a layer's, the tree is alive: a process of a container may exchange any name for a link at
any moment. So whatever is made is looked at and given its attributes through its own descriptor,
never by its name again. And nothing that is there is lost by surprise:

- a directory stays what it is, with its owner and mode, and takes what the archive has for it;
- a file takes the place of a file or link, but never of a directory;
- a file that is a mount point cannot be replaced, so it is written to, and stays who it is.

Names that mean whiteouts to a layer are names here.

Source: moby pkg/archive, Untar with NoOverwriteDirNonDir.
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.errors import Conflict, Denied
from onggi.linux.fd import Fd
from onggi.linux.path import O_PATH, is_regular, reopen
from onggi.store import tar_header as header
from onggi.store.attributes import is_carried
from onggi.store.extract import NEW_FILE, Extractor
from onggi.store.tar_limits import Limits, quoted
from onggi.store.tar_read import TarReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.store.byte_source import ByteSource
    from onggi.store.tar_read import Entry

    Owner = Callable[[int, int], tuple[int, int]]

_PLACE = O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# They name users, or a user namespace's root.
_NAMES_USERS = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")
_KINDS = {
    header.SYMBOLIC_LINK: stat.S_IFLNK,
    header.FIFO: stat.S_IFIFO,
    header.CHARACTER_DEVICE: stat.S_IFCHR,
    header.BLOCK_DEVICE: stat.S_IFBLK,
}


def put_archive(
    source: ByteSource,
    root: Fd,
    below: bytes,
    *,
    owner: Owner,
    enters: Callable[[int], bool],
    translated: bool = False,
) -> int:
    """Put the files of an archive into a directory.

    Args:
        source: the archive, uncompressed; it is read to its end.
        root: borrowed; what absolute links and those that climb are resolved in.
        below: the directory, as a path in `root`; it exists.
        owner: what becomes of the archive's user and group IDs.
        enters: of an open directory, whether something may be made in it.
        translated: whether `owner` means IDs of a user namespace, for which those in access lists
            and capabilities have no meaning, so that these are left out.

    Returns: the bytes of files that were written.
    Raises: Conflict: a file would replace a directory, or the other way round; Denied: `enters`
        said no; ArchiveRefused, BadArchive; OSError: the file system is full, or read-only.
    """
    archive = TarReader(source, Limits())
    with _Placer(root, below, archive, owner, enters, translated) as placer:
        for entry in archive:
            placer.apply(entry)
        placer.finish()
        source.drain()
        return placer.size


class _Placer(Extractor):
    """A tree while an archive's files are put among its own."""

    __slots__ = ("_below", "_current", "_enters", "_owner", "_translated")

    def __init__(
        self,
        root: Fd,
        below: bytes,
        archive: TarReader,
        owner: Owner,
        enters: Callable[[int], bool],
        translated: bool,
    ) -> None:
        super().__init__(f"/proc/self/fd/{root.fileno()}/.", archive)
        self._below = below.strip(b"/")
        self._current = ""  # the path of the entry that is being made, for messages
        self._owner = owner
        self._enters = enters
        self._translated = translated

    def apply(self, entry: Entry) -> None:
        entry.path = self._placed(entry.path)
        if entry.kind == header.HARD_LINK:
            entry.link = self._placed(entry.link)
        entry.uid, entry.gid = self._owner(entry.uid, entry.gid)
        self._current = quoted(b"/" + entry.path)
        super().apply(entry)

    def _placed(self, path: bytes) -> bytes:
        return b"/".join(filter(None, (self._below, path)))

    def _apply(self, entry: Entry) -> None:
        if entry.path == self._below:
            if entry.kind != header.DIRECTORY:
                raise Conflict(f"cannot overwrite directory {self._current} with non-directory")
            return  # it is there, and stays what it is
        directory, _, name = entry.path.rpartition(b"/")
        self._make(entry, self._directory(directory), name)

    def _make(self, entry: Entry, directory: int, name: bytes) -> None:
        if entry.kind == header.DIRECTORY:
            self._put_directory(entry, directory, name)
        elif entry.kind == header.REGULAR:
            self._put_file(entry, directory, name)
        else:
            super()._make(entry, directory, name)

    def _open_directory(self, path: bytes) -> int:
        with Fd(super()._open_directory(path)) as directory:
            if not self._enters(directory.fileno()):
                raise Denied(f"{quoted(b'/' + path)} is the kernel's, or mounted from within")
            return directory.take()

    def _imply(self, path: bytes) -> None:
        """Make a directory that the archive takes for granted, in one that may be entered."""
        parent, _, name = path.rpartition(b"/")
        with Fd(self._open_directory(parent)) as directory:
            try:
                os.mkdir(name, 0o755, dir_fd=directory.fileno())
            except FileExistsError:
                return  # no directory, or made just now: opening it tells
            with Fd(os.open(name, _PLACE | os.O_DIRECTORY, dir_fd=directory.fileno())) as made:
                os.chown(f"/proc/self/fd/{made.fileno()}", *self._owner(0, 0))

    def _put_directory(self, entry: Entry, directory: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            self._require_directory(entry)
            return
        with Fd(os.open(name, _PLACE | os.O_DIRECTORY, dir_fd=directory)) as made:
            self._stated[entry.path] = (os.fstat(made.fileno()).st_ino, entry)

    def _require_directory(self, entry: Entry) -> None:
        """Accept a directory, and a link that leads to one."""
        try:
            Fd(self._inside.open(entry.path, O_PATH | os.O_DIRECTORY)).close()
        except (NotADirectoryError, FileNotFoundError):
            raise Conflict(
                f"cannot overwrite non-directory {self._current} with directory"
            ) from None

    def _put_file(self, entry: Entry, directory: int, name: bytes) -> None:
        try:
            file = Fd(os.open(name, NEW_FILE, 0o600, dir_fd=directory))
        except FileExistsError:
            try:
                self._clear(name, directory)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                self._write_to_mounted(entry, directory, name)
                return
            file = Fd(os.open(name, NEW_FILE, 0o600, dir_fd=directory))
        with file:
            self._fill(file.fileno(), entry)
            self._set_attributes(file.fileno(), entry)

    def _write_to_mounted(self, entry: Entry, directory: int, name: bytes) -> None:
        with Fd(os.open(name, _PLACE, dir_fd=directory)) as place:
            if not is_regular(place):
                raise Conflict(f"{self._current} is a mount point, and no file")
            with Fd(reopen(place, os.O_WRONLY | os.O_TRUNC)) as file:
                self._fill(file.fileno(), entry)

    def _clear(self, name: bytes, directory: int, status: os.stat_result | None = None) -> None:
        """Remove what has the name of something that is no directory, unless it is one."""
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            raise Conflict(
                f"cannot overwrite directory {self._current} with non-directory"
            ) from None
        self._forget_all_but(directory)  # it may have been a link on the way to something

    def _set_attributes_of(self, name: bytes, directory: int, entry: Entry) -> None:
        """Set what the entry states on a link, a device or a fifo: on that which was made."""
        with Fd(os.open(name, _PLACE, dir_fd=directory)) as made:
            status = os.fstat(made.fileno())
            if stat.S_IFMT(status.st_mode) != _KINDS[entry.kind] or status.st_nlink != 1:
                raise Conflict(f"{self._current} became something else while it was made")
            here = f"/proc/self/fd/{made.fileno()}"
            os.chown(here, entry.uid, entry.gid)
            if not stat.S_ISLNK(status.st_mode):
                os.chmod(here, entry.mode)
            os.utime(here, ns=(entry.mtime_ns, entry.mtime_ns))

    def _set_xattrs(self, place: int | bytes, entry: Entry) -> None:
        if self._translated:
            for name in _NAMES_USERS:
                entry.xattrs.pop(name, None)
        entry.xattrs = {key: value for key, value in entry.xattrs.items() if is_carried(key)}
        super()._set_xattrs(place, entry)
