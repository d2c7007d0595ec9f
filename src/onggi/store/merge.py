"""Several directory trees seen as overlayfs would show them, without mounting anything.

A stack is a list of trees, the topmost first. For each name the kernel's rules are:

- the topmost tree that has the name decides what it is;
- a character device 0:0 (a whiteout) means that the name does not exist, whatever lies lower;
- a directory is merged with the directories of the same name below it, down to the first tree
  where the name is something else, or where the directory is marked opaque.

Somebody may be writing in the top tree meanwhile, so every directory is opened from its tree's root
with symbolic links forbidden, and what vanished is left out.

Source: Documentation/filesystems/overlayfs.rst, "Upper and Lower", "whiteouts and opaque
directories"; fs/overlayfs/namei.c, ovl_lookup.
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.linux.path import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    openat2,
)
from onggi.store.attributes import overlay_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STRICTLY_BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def is_whiteout(status: os.stat_result) -> bool:
    """Tell whether an inode says "nothing here" to overlayfs."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def opaque_name() -> str:
    """Return the attribute by which a directory hides what lies below it."""
    return f"{overlay_prefix()}opaque"


def is_opaque(directory: int | str) -> bool:
    """Tell whether a directory (open, or by path) hides what lies below it."""
    try:
        return os.getxattr(directory, opaque_name()) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise


class Found:
    """What a stack has under a name: `status` of the topmost, and for a directory in which trees.

    A whiteout is found too: it hides, and whoever writes a layer must write it.
    """

    __slots__ = ("name", "source", "status", "trees")

    def __init__(
        self, name: bytes, status: os.stat_result, source: int, trees: tuple[int, ...]
    ) -> None:
        self.name = name
        self.status = status
        self.source = source
        self.trees = trees

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_whiteout(self) -> bool:
        """Whether it is there only to hide."""
        return is_whiteout(self.status)


class Stack:
    """Trees on top of each other; owns a descriptor of each root."""

    __slots__ = ("roots",)

    def __init__(self, paths: Sequence[str]) -> None:
        self.roots: list[int] = []
        try:
            for path in paths:
                self.roots.append(os.open(path, _DIRECTORY))
        except BaseException:
            self.close()
            raise

    def open(self, path: bytes, trees: Sequence[int]) -> View:
        """Open directory `path` in those of `trees` (topmost first) where it is to be seen."""
        descriptors: dict[int, int] = {}
        opaque = False
        for tree in trees:
            fd = self._open_in(tree, path)
            if fd is not None:
                descriptors[tree] = fd
                opaque = is_opaque(fd)
            if opaque:
                break
        return View(path, descriptors, opaque)

    def root(self) -> View:
        """Open the root directory of all trees."""
        return self.open(b"", range(len(self.roots)))

    def walk(self) -> Iterator[View]:
        """Visit each directory, parents first, each open only while it is looked at.

        The order depends on names alone, never on the file system.
        """
        pending: list[tuple[bytes, Sequence[int]]] = [(b"", range(len(self.roots)))]
        while pending:
            path, trees = pending.pop()
            with self.open(path, trees) as view:
                if not view.descriptors:
                    continue  # vanished meanwhile
                found = [each for each in view.entries() if each.is_directory]
                yield view
            prefix = path + b"/" if path else b""
            pending.extend((prefix + each.name, each.trees) for each in reversed(found))

    def _open_in(self, tree: int, path: bytes) -> int | None:
        try:
            return openat2(self.roots[tree], path or b".", _DIRECTORY, 0, _STRICTLY_BELOW)
        except OSError as error:
            if error.errno in _VANISHED:
                return None
            raise

    def close(self) -> None:
        """Close the roots; closing twice is fine."""
        while self.roots:
            os.close(self.roots.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class View:
    """One directory of a stack, open in each tree that shows through.

    `opaque` tells that the lowest of them hides what lies below it.
    """

    __slots__ = ("_entries", "descriptors", "opaque", "path")

    def __init__(self, path: bytes, descriptors: dict[int, int], opaque: bool) -> None:
        self.path = path
        self.descriptors = descriptors
        self.opaque = opaque
        self._entries: list[Found] | None = None

    @property
    def fd(self) -> int:
        """The directory in the topmost tree, whose attributes are the ones that count."""
        return next(iter(self.descriptors.values()))

    def entries(self) -> list[Found]:
        """Return what the directory holds, whiteouts included, sorted by name."""
        if self._entries is None:
            names = {
                os.fsencode(name) for fd in self.descriptors.values() for name in os.listdir(fd)
            }
            found = map(self.find, sorted(names))
            self._entries = [each for each in found if each is not None]
        return self._entries

    def find(self, name: bytes) -> Found | None:
        """Look one name up; None if no tree has it."""
        top: tuple[int, os.stat_result] | None = None
        trees: list[int] = []
        for tree, fd in self.descriptors.items():
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            top = top or (tree, status)
            if not stat.S_ISDIR(status.st_mode):
                break
            trees.append(tree)
        if top is None:
            return None
        return Found(name, top[1], top[0], tuple(trees))

    def hide(self) -> None:
        """Let it hold nothing, whatever it does."""
        self._entries = []

    def close(self) -> None:
        """Close the descriptors; closing twice is fine."""
        while self.descriptors:
            os.close(self.descriptors.popitem()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
