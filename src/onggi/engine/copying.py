"""Copying files and trees between this host and a container, whether that runs or not.

What goes where follows Docker's rules, which are those of cp -r: see `destination`.

Source: docker container cp; moby pkg/archive, PrepareArchiveCopy.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import time

from onggi.errors import Conflict, NotFound, Unsupported
from onggi.linux.path import is_regular, reopen
from onggi.store import tar_header as header
from onggi.store.byte_source import ByteSource
from onggi.store.place import put_archive
from onggi.store.tar_limits import quoted
from onggi.store.tar_write import encode_header, place_archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, BinaryIO

    from onggi.engine.files import Files
    from onggi.store.owners import Owners

    Owner = Callable[[int, int], tuple[int, int]]


class Destination:
    """Where what is copied goes: into `directory`, as `name`; "" puts its contents there."""

    __slots__ = ("directory", "name")

    def __init__(self, directory: str, name: str) -> None:
        self.directory = directory
        self.name = name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Destination):
            return NotImplemented
        return (self.directory, self.name) == (other.directory, other.name)

    def __hash__(self) -> int:
        return hash((self.directory, self.name))

    def __repr__(self) -> str:
        return f"Destination({self.directory!r}, {self.name!r})"


def destination(source: str, is_directory: bool, target: str, there: int | None) -> Destination:
    """Decide where a source goes.

        source                target               becomes
        file or directory     an existing directory  target/NAME
        directory/.           an existing directory  target, taking the contents
        directory             nothing yet            target, a directory of that name
        file                  nothing, or a file     target

    Args:
        source: its path as it was given; what its end says counts.
        is_directory: whether it is one.
        target: the path as it was given.
        there: the mode of what is at that path, None for nothing.

    Raises: Conflict: a directory would replace a file, or a file stand where a directory is meant;
        NotFound: the directory that is meant is not there.
    """
    if there is not None and stat.S_ISDIR(there):
        return Destination(target, "" if _means_contents(source) else name_of(source))
    if there is not None and is_directory:
        raise Conflict(f"cannot copy a directory to a file: {_shown(target)}")
    if _means_directory(target) and not is_directory:
        if there is not None:
            raise Conflict(f"not a directory: {_shown(target)}")
        raise NotFound(f"no such directory: {_shown(target)}")
    parent, name = posixpath.split(posixpath.normpath(target))
    return Destination(parent or ".", name)


def name_of(path: str) -> str:
    """Return the last name of a path; "" for the root, which has none."""
    return posixpath.basename(posixpath.normpath("/" + path))


def _means_contents(path: str) -> bool:
    return path == "." or path.endswith("/.") or not name_of(path)


def _means_directory(path: str) -> bool:
    return path == "." or path.endswith(("/", "/."))


def copy(
    source: Files, path: str, target: Files, to: str, *, follow: bool, owner: Owner | None
) -> int:
    """Copy what is at a path to another path, elsewhere.

    Args:
        source: where it is copied from.
        path: in `source`.
        target: where it is copied to.
        to: in `target`.
        follow: whether a link at the end of `path` stands for what it leads to.
        owner: who it all belongs to in `target`, in the numbers that are used there; None for who
            it belongs to in `source`.

    Returns: the bytes of the archive that it went through.
    Raises: NotFound; Conflict: see `destination` and store/place.py; Denied; Unsupported; OSError.
    """
    with source.find(path, follow=follow or _means_contents(path)) as place:
        is_directory = stat.S_ISDIR(os.fstat(place.fileno()).st_mode)
        there = target.look(to)
        goes = destination(path, is_directory, to, None if there is None else there.st_mode)
        require_directory(target, goes.directory)
        pieces = place_archive(
            place, os.fsencode(goes.name), owners=source.owners, enters=source.enters
        )
        return put(target, goes.directory, pieces, owner=owner)


def put(target: Files, directory: str, pieces: Iterable[bytes], *, owner: Owner | None) -> int:
    """Put an archive's files into a directory that exists; arguments and result as of `copy`."""
    source = ByteSource(iter(pieces))
    try:
        put_archive(
            source,
            target.root,
            os.fsencode(directory),
            owner=_translated(owner, target.owners),
            enters=target.enters,
            translated=target.owners is not None,
        )
    except OSError as error:
        if error.errno == errno.EOVERFLOW and target.owners is not None:
            raise _no_owner_here() from error
        raise
    return source.position


def _translated(owner: Owner | None, owners: Owners | None) -> Owner:
    """Return what becomes of an archive's owner: as it is asked for, and as it is stored."""

    def become(uid: int, gid: int) -> tuple[int, int]:
        wanted = owner(uid, gid) if owner else (uid, gid)
        return owners.stored(*wanted) if owners else wanted

    return become


def _no_owner_here() -> Unsupported:
    """Tell of a volume that shows other owners than it stores: on it, the host's root is nobody."""
    return Unsupported(
        "a volume of a container with users of its own cannot be copied into from outside",
        hint="let a program inside do it: tar -c FILES | onggi exec -i CONTAINER tar -x -C DIR",
    )


def known(source: Files, path: str, *, follow: bool) -> dict[str, Any]:
    """Return what is known of a path, in the Docker Engine API's shape.

    That is the name, the size in bytes, the mode as Go's os.FileMode, mtime and linkTarget.
    """
    with source.find(path, follow=follow or _means_contents(path)) as place:
        return _known(place.fileno(), path)


def take(opened: Callable[[], Files], path: str, *, follow: bool) -> Iterator[bytes]:
    """Yield an archive of what is at a path; nothing is open before the first piece is asked for.

    Args: opened: what opens the files.
    """
    contents = _means_contents(path)
    name = b"" if contents else os.fsencode(name_of(path))
    with opened() as source, source.find(path, follow=follow or contents) as place:
        yield from place_archive(place, name, owners=source.owners, enters=source.enters)


def unpacked(data: bytes | BinaryIO) -> Iterator[bytes]:
    """Yield an archive that may be compressed by gzip, bzip2, xz or zstd, uncompressed.

    Raises: Corrupt, ArchiveRefused: too much comes out of it, or too much for what went in.
    """
    import io

    from onggi.image.compression import decompressed_chunks

    return decompressed_chunks(io.BytesIO(data) if isinstance(data, bytes) else data)


def read(source: Files, path: str) -> bytes:
    """Return what a regular file holds; links are followed inside."""
    with source.find(path, follow=True) as place:
        if not is_regular(place):
            raise Conflict(f"not a regular file: {_shown(path)}")
        with open(reopen(place, os.O_RDONLY), "rb") as file:
            return file.read()


def write(target: Files, path: str, data: bytes, mode: int) -> None:
    """Make or replace a file that belongs to root, in a directory that exists."""
    parent, name = posixpath.split(posixpath.normpath(path))
    require_directory(target, parent or "/")
    block = encode_header(
        os.fsencode(name), header.REGULAR, mode=mode, size=len(data), mtime_ns=time.time_ns()
    )
    padding = bytes(-len(data) % header.BLOCK)
    put(target, parent, (block, data, padding, header.ZERO_BLOCK * 2), owner=lambda _u, _g: (0, 0))


def absolute(path: str) -> str:
    """Return a path of this host from the root on; what its end says is kept."""
    whole = os.path.abspath(path)
    if path in (".", "./") or path.endswith("/."):
        return f"{whole}/."
    return f"{whole}/" if path.endswith("/") else whole


def require_directory(target: Files, path: str) -> None:
    """Refuse a path at which there is no directory.

    Raises: NotFound, Conflict
    """
    with target.find(path, follow=True) as place:
        if not stat.S_ISDIR(os.fstat(place.fileno()).st_mode):
            raise Conflict(f"not a directory: {_shown(path)}")


# Go's os.FileMode keeps kinds in bits of its own. Source: pkg.go.dev/io/fs, FileMode.
_GO_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


def _known(fd: int, path: str) -> dict[str, Any]:
    from onggi.image.moments import rfc3339

    status = os.fstat(fd)
    mode = status.st_mode & 0o777 | _GO_KINDS.get(stat.S_IFMT(status.st_mode), 0)
    mode |= sum(bit for ours, bit in _GO_BITS.items() if status.st_mode & ours)
    is_link = stat.S_ISLNK(status.st_mode)
    return {
        "name": name_of(path) or "/",
        "size": status.st_size,
        "mode": mode,
        "mtime": rfc3339(int(status.st_mtime)),
        "linkTarget": os.fsdecode(os.readlink(b"", dir_fd=fd)) if is_link else "",
    }


def _shown(path: str) -> str:
    return quoted(os.fsencode(path))
