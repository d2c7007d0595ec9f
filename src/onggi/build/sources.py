"""Where the files of COPY and mounts come from, opened when first needed and closed together."""

from __future__ import annotations

import os

from onggi.build.context import ignore_of
from onggi.build.rootfs import open_root
from onggi.build.tree import Tree
from onggi.linux.fd import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from onggi.build.content import ContentDigests
    from onggi.build.ignore import Ignore
    from onggi.oci.digest import Digest
    from onggi.store.store import Store


class Stack:
    """A stack of layers as a source: a finished stage or an image; its files never change."""

    __slots__ = ("chain",)

    def __init__(self, chain: Sequence[Digest]) -> None:
        self.chain = tuple(chain)


class Folder:
    """A directory of the host as a source: a context beside the context, `--build-context`."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class Sources:
    """The build's context and the layer stacks that steps take files from.

    Args:
        store: where layers lie. context: a directory, or "" for a build without one.
        ignore: what .dockerignore leaves out. digests: what is known of the context's files.
    """

    def __init__(self, store: Store, context: str, ignore: Ignore, digests: ContentDigests) -> None:
        self._store = store
        self._context = context
        self._ignore = ignore
        self.digests = digests
        self._open: dict[tuple[str, ...], Fd] = {}
        self._context_fd: Fd | None = None

    def tree(self, place: Stack | Folder | None) -> Tree:
        """Return the files of a stack or a folder, or those of the context.

        Raises: OSError: the folder cannot be opened.
        """
        if place is None:
            return self._context_tree()
        return self._folder_tree(place) if isinstance(place, Folder) else self._stack_tree(place)

    def _folder_tree(self, folder: Folder) -> Tree:
        key = ("folder", folder.path)
        root = self._open.get(key)
        if root is None:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            root = self._open[key] = Fd(os.open(folder.path, flags))
        return Tree(root.fileno(), ignore=ignore_of(folder.path), owned_by_root=True)

    def _context_tree(self) -> Tree:
        if self._context_fd is None:
            path = self._context or self._store.workshop.new_directory()
            self._context_fd = Fd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        return Tree(self._context_fd.fileno(), ignore=self._ignore, owned_by_root=True)

    def _stack_tree(self, stack: Stack) -> Tree:
        root = self._open.get(stack.chain)
        if root is None:
            mounts = self._store.snapshots.view(stack.chain)
            root = self._open[stack.chain] = open_root(mounts, self._store.workshop)
        return Tree(root.fileno())

    def close(self) -> None:
        """Close what was opened; closing twice is fine."""
        for root in self._open.values():
            root.close()
        self._open.clear()
        if self._context_fd is not None:
            self._context_fd.close()
            self._context_fd = None
