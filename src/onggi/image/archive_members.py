"""The files of an archive or of a layout directory, reached by name.

Neither is ever unpacked: a name is a key to look up, not a path to write to. Links, which
`docker save` used for layers that images share, are followed inside the archive only.
"""

from __future__ import annotations

import os
import posixpath
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from onggi.errors import Corrupt
from onggi.linux.fd import Fd
from onggi.linux.path import Inside, is_regular, reopen

_LINK_DEPTH = 8
_NAME_LIMIT = 4096


class MemberNotFound(Corrupt):
    """The archive refers to a file that is not in it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"archive has no {name[:200]!r}")
        self.name = name


class Members(Protocol):
    """Files by name. Names are relative and plain: `blobs/sha256/…`, `manifest.json`."""

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name."""

    def size(self, name: str) -> int:
        """Return a file's size in bytes; MemberNotFound."""

    def open(self, name: str) -> BinaryIO:
        """Open a file at its beginning; it ends where the member ends; MemberNotFound."""


def read_member(members: Members, name: str, limit: int) -> bytes:
    """Read a small file whole.

    Raises: MemberNotFound; Corrupt: it has more than `limit` bytes; none are read.
    """
    size = members.size(name)
    if size > limit:
        raise Corrupt(f"{name[:200]!r} has {size} bytes, more than the allowed {limit}")
    with members.open(name) as file:
        return file.read()


def plain_name(name: str) -> str:
    """Return a member's name without `./` and a final slash.

    Raises: Corrupt: it is absolute, climbs, or is longer than any path.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name or len(name) > _NAME_LIMIT:
        raise Corrupt(f"archive has an unsafe name {name[:200]!r}")
    return "/".join(parts)


def link_target(name: str, target: str) -> str:
    """Return the name of the member that a symbolic link at `name` leads to.

    Raises: Corrupt: it leads out of the archive.
    """
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if joined.startswith(("/", "../")) or joined in (".", ".."):
        raise Corrupt(f"link {name[:200]!r} leads out of the archive, to {target[:200]!r}")
    return plain_name(joined)


def follow(name: str, links: dict[str, str]) -> str:
    """Return what is at the end of a chain of links; `name` itself if it is no link.

    Raises: Corrupt: the chain is too long, or a circle.
    """
    end = name
    for _ in range(_LINK_DEPTH):
        if end not in links:
            return end
        end = links[end]
    raise Corrupt(f"link {name[:200]!r} leads through too many others")


class DirectoryMembers:
    """The files of a directory; links in it are followed as if it were the root."""

    def __init__(self, path: str) -> None:
        self._root = Fd(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        self._inside = Inside(self._root)

    def has(self, name: str) -> bool:
        try:
            self.open(name).close()
        except MemberNotFound:
            return False
        return True

    def size(self, name: str) -> int:
        with self.open(name) as file:
            return os.fstat(file.fileno()).st_size

    def open(self, name: str) -> BinaryIO:
        try:
            place_fd = self._inside.open(plain_name(name), os.O_PATH)
        except (FileNotFoundError, NotADirectoryError):
            raise MemberNotFound(name) from None
        with Fd(place_fd) as place:
            if not is_regular(place):
                raise Corrupt(f"{name[:200]!r} is not a file")
            return os.fdopen(reopen(place, os.O_RDONLY), "rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._root.close()
