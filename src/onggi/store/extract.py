"""Making the files of one layer from the entries of its archive.

The archive is an attacker's. Every directory is opened by the kernel with the layer's directory as
the root of the lookup, so links in it lead nowhere else; every entry is made by its last name in
such an open directory, without following a link, and reached through its own descriptor.

Whiteouts become what overlayfs understands. They hide what *other* layers have: where the archive
has both `x` and `.wh.x`, in whichever order, `x` is there and what lower layers had under that
name is not.

Attributes of directories are set at the very end: making something in a directory changes its time,
and a directory's default access list or set-group-ID bit would change what is made in it.

Source: image-spec layer.md, "Changesets", "Applying Changesets", "Whiteouts"; moby pkg/archive
diff.go, UnpackLayer (duplicates, AUFS metadata).
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.errors import Unsupported
from onggi.linux import user_namespace
from onggi.linux.fd import Fd
from onggi.linux.path import O_PATH, Inside
from onggi.store import tar_header as header
from onggi.store.attributes import UnknownOwner, is_carried, overlay_prefix, set_owner
from onggi.store.merge import is_whiteout, opaque_name
from onggi.store.tar_limits import ArchiveRefused, quoted
from onggi.store.trees import remove_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from onggi.store.tar_read import Entry, TarReader

WHITEOUT = b".wh."
AUFS = b".wh..wh."
OPAQUE_MARK = b".wh..wh..opq"

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_KEPT_OPEN = 128
# What the archive asked for cannot be; anything else, such as ENOSPC, is not the archive's doing.
_ARCHIVES_FAULT = frozenset(
    (
        *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.ENOENT, errno.EPERM, errno.EINVAL),
        *(errno.EMLINK, errno.EISDIR, errno.EEXIST, errno.ERANGE, errno.E2BIG),
    )
)
_FORMATS = {
    header.FIFO: stat.S_IFIFO,
    header.CHARACTER_DEVICE: stat.S_IFCHR,
    header.BLOCK_DEVICE: stat.S_IFBLK,
}


class Extractor:
    """One layer's directory while an archive is unpacked into it.

    `implied` are the directories that were needed and have had no entry so far; `size` counts the
    bytes of files; `left_out` are device nodes that could not be made; `root_stated` tells whether
    the archive had an entry for the root.
    """

    __slots__ = (
        "_archive",
        "_inside",
        "_open",
        "_root",
        "_stated",
        "implied",
        "left_out",
        "root_stated",
        "size",
    )

    def __init__(self, path: str, archive: TarReader) -> None:
        self._archive = archive
        self._root = Fd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        self._inside = Inside(self._root)
        self._open: dict[bytes, int] = {}
        self._stated: dict[bytes, tuple[int, Entry]] = {}
        self.implied: set[bytes] = set()
        self.left_out: set[bytes] = set()
        self.root_stated = False
        self.size = 0

    def apply(self, entry: Entry) -> None:
        """Make what the entry says, replacing what an earlier entry made under the same path.

        Raises: ArchiveRefused; OSError: the file system is full, or fails.
        """
        with _Blame(entry):
            self._apply(entry)

    def finish(self) -> None:
        """Set the attributes of directories, as the archive stated them last.

        Raises: as `apply`.
        """
        for path, (inode, entry) in self._stated.items():
            with _Blame(entry), Fd(self._open_stated(path)) as directory:
                fd = directory.fileno()
                if os.fstat(fd).st_ino == inode:  # else a later entry replaced it
                    self._set_attributes(fd, entry)

    def _open_stated(self, path: bytes) -> int:
        """Open a directory that was stated, or the root if it is a directory no more."""
        try:
            return self._inside.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return self._inside.open(b"", os.O_RDONLY | os.O_DIRECTORY)

    def _apply(self, entry: Entry) -> None:
        directory, _, name = entry.path.rpartition(b"/")
        if not name:
            self._state_root(entry)
        elif entry.path.startswith(WHITEOUT) or b"/.wh." in entry.path:
            self._apply_whiteout(entry, directory, name)
        else:
            self._make(entry, self._directory(directory), name)

    def _make(self, entry: Entry, directory: int, name: bytes) -> None:
        make = _MAKERS[entry.kind]
        make(self, entry, directory, name)

    def _state_root(self, entry: Entry) -> None:
        if entry.kind != header.DIRECTORY:
            raise ArchiveRefused("the root is not a directory")
        self.root_stated = True
        self._stated[b""] = (os.fstat(self._root.fileno()).st_ino, entry)

    def _directory(self, path: bytes) -> int:
        """Return a directory that things are made in; borrowed until something is replaced."""
        fd = self._open.get(path)
        if fd is None:
            fd = self._open_directory(path)
            if len(self._open) >= _KEPT_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[path] = fd
        return fd

    def _open_directory(self, path: bytes) -> int:
        try:
            return self._inside.open(path, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            self._imply(path)
        return self._inside.open(path, _DIRECTORY)

    def _imply(self, path: bytes) -> None:
        """Make a directory that the archive takes for granted, and those on the way to it."""
        parts = path.split(b"/")
        for length in range(1, len(parts) + 1):
            reached = b"/".join(parts[:length])
            parent, _, name = reached.rpartition(b"/")
            with Fd(self._inside.open(parent, _DIRECTORY)) as directory:
                try:
                    os.mkdir(name, 0o755, dir_fd=directory.fileno())
                except FileExistsError:
                    self._unhide(name, directory.fileno(), reached)
                else:
                    self.implied.add(reached)

    def _unhide(self, name: bytes, directory: int, path: bytes) -> None:
        """Turn a whiteout on the way to an entry into an opaque directory."""
        if is_whiteout(os.stat(name, dir_fd=directory, follow_symlinks=False)):
            os.unlink(name, dir_fd=directory)
            os.mkdir(name, 0o755, dir_fd=directory)
            _mark_opaque(name, directory)
            self.implied.add(path)

    def _make_directory(self, entry: Entry, directory: int, name: bytes) -> None:
        try:
            os.mkdir(name, 0o755, dir_fd=directory)
        except FileExistsError:
            self._make_directory_of(name, directory)
        self.implied.discard(entry.path)
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        self._stated[entry.path] = (status.st_ino, entry)

    def _make_directory_of(self, name: bytes, directory: int) -> None:
        """Let `name`, whatever it is now, be a directory."""
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            return
        self._clear(name, directory, status)
        os.mkdir(name, 0o755, dir_fd=directory)
        if is_whiteout(status):
            _mark_opaque(name, directory)

    def _make_file(self, entry: Entry, directory: int, name: bytes) -> None:
        try:
            file = Fd(os.open(name, NEW_FILE, 0o600, dir_fd=directory))
        except FileExistsError:
            self._clear(name, directory)
            file = Fd(os.open(name, NEW_FILE, 0o600, dir_fd=directory))
        with file:
            self._fill(file.fileno(), entry)
            self._set_attributes(file.fileno(), entry)

    def _fill(self, fd: int, entry: Entry) -> None:
        if entry.size:
            self._archive.copy_data(fd, entry)
            self.size += entry.size

    def _make_symbolic_link(self, entry: Entry, directory: int, name: bytes) -> None:
        try:
            os.symlink(entry.link, name, dir_fd=directory)
        except FileExistsError:
            self._clear(name, directory)
            os.symlink(entry.link, name, dir_fd=directory)
        self._set_attributes_of(name, directory, entry)

    def _make_node(self, entry: Entry, directory: int, name: bytes) -> None:
        if entry.kind == header.CHARACTER_DEVICE and entry.device == (0, 0):
            raise ArchiveRefused(
                f"{quoted(entry.path)} is the character device 0:0, overlayfs's own whiteout"
            )
        mode, device = entry.mode | _FORMATS[entry.kind], os.makedev(*entry.device)
        try:
            os.mknod(name, mode, device, dir_fd=directory)
        except FileExistsError:
            self._clear(name, directory)
            self._make_node(entry, directory, name)
            return
        except PermissionError:
            if entry.kind == header.FIFO or user_namespace.is_first():
                raise
            self.left_out.add(entry.path)  # only the machine's root may make device nodes
            return
        self._set_attributes_of(name, directory, entry)

    def _make_hard_link(self, entry: Entry, directory: int, name: bytes) -> None:
        """Link to a file of this layer: one of a lower layer could not be linked to.

        Its attributes are the file's, which had an entry of its own.
        """
        with Fd(self._open_link_target(entry)) as target:
            status = os.fstat(target.fileno())
            if stat.S_ISDIR(status.st_mode) or is_whiteout(status):
                raise ArchiveRefused(
                    f"{quoted(entry.path)} is a hard link to {quoted(entry.link)}, which is no file"
                )
            source = f"/proc/self/fd/{target.fileno()}"
            try:
                os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)
            except FileExistsError:
                if self._is_same(name, directory, status):
                    return
                self._clear(name, directory)
                os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)

    def _open_link_target(self, entry: Entry) -> int:
        """Open what a hard link means, following symbolic links inside, but not the last."""
        try:
            return self._inside.open(entry.link, O_PATH | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            raise ArchiveRefused(
                f"{quoted(entry.path)} is a hard link to {quoted(entry.link)}, "
                "which this layer does not hold"
            ) from error

    def _is_same(self, name: bytes, directory: int, status: os.stat_result) -> bool:
        present = os.stat(name, dir_fd=directory, follow_symlinks=False)
        return os.path.samestat(present, status)

    def _apply_whiteout(self, entry: Entry, directory: bytes, name: bytes) -> None:
        """Apply an entry one of whose components begins with `.wh.`."""
        if any(part.startswith(AUFS) and part != OPAQUE_MARK for part in entry.path.split(b"/")):
            return  # what AUFS noted for itself when it made the layer
        if directory.startswith(WHITEOUT) or b"/.wh." in directory:
            raise ArchiveRefused(f"{quoted(entry.path)} lies below a whiteout")
        if name == OPAQUE_MARK:
            self._apply_opaque(directory)
            return
        hidden = name[len(WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise ArchiveRefused(f"{quoted(entry.path)} is a whiteout of no file")
        self._hide(hidden, self._directory(directory))

    def _apply_opaque(self, path: bytes) -> None:
        if not path:
            raise ArchiveRefused(
                "an opaque whiteout of the root, which overlayfs cannot express",
                hint="whiteouts of each name in it can be",
            )
        os.setxattr(f"/proc/self/fd/{self._directory(path)}", opaque_name(), b"y")

    def _hide(self, name: bytes, directory: int) -> None:
        """Hide `name` of lower layers; what this layer has under the name stays."""
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory)
        except FileExistsError:
            if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                _mark_opaque(name, directory)

    def _clear(self, name: bytes, directory: int, status: os.stat_result | None = None) -> None:
        """Remove what an earlier entry made; the directory itself stays open."""
        status = status or os.stat(name, dir_fd=directory, follow_symlinks=False)
        remove_entry(name, directory)
        if stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
            self._forget_all_but(directory)

    def _forget_all_but(self, kept: int) -> None:
        """Close directories that may be reached by other ways now, or not at all."""
        for path, fd in list(self._open.items()):
            if fd != kept:
                os.close(self._open.pop(path))

    def _set_attributes(self, fd: int, entry: Entry) -> None:
        """Set what the entry states, on an open file.

        Owner, then extended attributes and mode: chown(2) clears `security.capability` and the
        set-user-ID bit.
        """
        set_owner(fd, entry.uid, entry.gid)
        self._set_xattrs(fd, entry)
        os.fchmod(fd, entry.mode)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def _set_attributes_of(self, name: bytes, directory: int, entry: Entry) -> None:
        """Set what the entry states, on what cannot be opened: a link or a device."""
        set_owner(name, entry.uid, entry.gid, dir_fd=directory)
        self._set_xattrs(os.path.join(b"/proc/self/fd/%d" % directory, name), entry)
        if entry.kind != header.SYMBOLIC_LINK:
            os.chmod(name, entry.mode, dir_fd=directory)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)

    def _set_xattrs(self, place: int | bytes, entry: Entry) -> None:
        for name, value in entry.xattrs.items():
            if name.startswith(overlay_prefix()) or "\0" in name:
                raise ArchiveRefused(
                    f"{quoted(entry.path)} has the extended attribute {name!r}, "
                    "which is overlayfs's own or none"
                )
            if is_carried(name):
                _set_xattr(place, name, value, entry.path)

    def close(self) -> None:
        """Close every descriptor; closing twice is fine."""
        while self._open:
            os.close(self._open.popitem()[1])
        self._root.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Blame:
    """Turns what the kernel refuses into words about the entry that asked for it."""

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __enter__(self) -> None:
        """Begin to watch."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, UnknownOwner):
            error.message = f"{quoted(self._entry.path)}: {error.message}"
        if not isinstance(error, OSError):
            return
        if error.errno in _ARCHIVES_FAULT:
            raise ArchiveRefused(
                f"{quoted(self._entry.path)} cannot be made: {error.strerror}"
            ) from error
        error.add_note(f"while unpacking {quoted(self._entry.path)}")


def _set_xattr(place: int | bytes, name: str, value: bytes, path: bytes) -> None:
    try:
        os.setxattr(place, name, value, follow_symlinks=isinstance(place, int))
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        raise Unsupported(
            f"the store's file system cannot keep the extended attribute {name} of {quoted(path)}"
        ) from error


def _mark_opaque(name: bytes, directory: int) -> None:
    place = os.path.join(b"/proc/self/fd/%d" % directory, name)
    os.setxattr(place, opaque_name(), b"y", follow_symlinks=False)


_MAKERS: dict[bytes, Callable[[Extractor, Entry, int, bytes], None]] = {
    header.REGULAR: Extractor._make_file,
    header.DIRECTORY: Extractor._make_directory,
    header.SYMBOLIC_LINK: Extractor._make_symbolic_link,
    header.HARD_LINK: Extractor._make_hard_link,
    header.CHARACTER_DEVICE: Extractor._make_node,
    header.BLOCK_DEVICE: Extractor._make_node,
    header.FIFO: Extractor._make_node,
}
