"""Which files a COPY, an ADD or a mount takes, and their digests."""

from __future__ import annotations

import hashlib

from onggi.build.content import ContentDigests, entry_digest
from onggi.build.ignore import Ignore, make_ignore
from onggi.build.sources import Folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onggi.build.bench import Bench
    from onggi.build.copying import Destination
    from onggi.build.sources import Stack
    from onggi.build.tree import Entry, Found, Tree


class Choice:
    """One thing that a source named; `below` is where it goes under ``--parents``."""

    __slots__ = ("below", "found", "pivot")

    def __init__(self, found: Found, pivot: str = "", below: str = "") -> None:
        self.found = found
        self.pivot = pivot
        self.below = below


class Selection:
    """What sources name in a tree, with what ``--exclude`` and ``--parents`` say of it.

    Args:
        bench: the build's. stack: where from, None for the context. sources: as in the
            instruction. excludes: patterns like those of .dockerignore.
    """

    def __init__(
        self,
        bench: Bench,
        stack: Stack | Folder | None,
        sources: Sequence[str],
        *,
        excludes: Sequence[str] = (),
        parents: bool = False,
    ) -> None:
        self._bench = bench
        self._stack = stack
        self._sources = tuple(sources)
        self._excludes: Ignore = make_ignore(excludes, "--exclude")
        self._parents = parents

    @property
    def tree(self) -> Tree:
        """The tree that everything lies in."""
        return self._bench.sources.tree(self._stack)

    def choices(self) -> list[Choice]:
        """Find what is meant, in the order of the sources.

        Raises: SourceNotFound
        """
        return [choice for source in self._sources for choice in self._find(source)]

    def _find(self, source: str) -> list[Choice]:
        if not self._parents:
            return [Choice(found) for found in self.tree.find(source)]
        before, pivot, after = source.partition("/./")
        pivot = _plain(before) if pivot else ""
        founds = self.tree.find(f"{pivot}/{after}" if pivot else source)
        return [Choice(found, pivot, _below(pivot, found.path)) for found in founds]

    def skipper(self, found: Found) -> Callable[[Entry], bool]:
        """Return what tells of each entry below `found` whether ``--exclude`` names it."""
        if not self._excludes.patterns:
            return lambda _: False
        return lambda entry: self._excludes.ignores(entry.path or found.name)

    def copy(self, choice: Choice, destination: Destination, path: str, *, unpack: bool) -> None:
        """Copy one choice to a destination; with `unpack` an archive's contents instead."""
        if self._parents:
            path = self._copy_parents(choice, destination, path)
        elif unpack and not choice.found.is_directory:
            from onggi.build.archive import unpack_archive

            if unpack_archive(self.tree, choice.found, destination, path):
                return
        destination.copy(self.tree, choice.found, path, self.skipper(choice.found))

    def _copy_parents(self, choice: Choice, destination: Destination, path: str) -> str:
        """Copy the directories between the pivot and what is copied, as they are."""
        tree = self.tree
        destination.make_directories(path)
        parts = choice.below.split("/")
        for length in range(1, len(parts)):
            below = "/".join(parts[:length])
            parent = tree.at(f"{choice.pivot}/{below}" if choice.pivot else below)
            destination.put(next(tree.walk(parent)), f"{path.rstrip('/')}/{below}")
        return f"{path.rstrip('/')}/{choice.below}"

    def files(self) -> dict[str, str]:
        """Return path -> digest of all that is taken.

        Of a stack, which never changes, it is remembered, so that a cached build mounts nothing.
        """
        if self._stack is None:
            return self._digest(self._bench.sources.digests)
        if isinstance(self._stack, Folder):
            return self._digest(ContentDigests())
        key = self._memory_key(self._stack)
        files = self._bench.cache.tree_files(key)
        if files is None:
            files = self._digest(ContentDigests())
            self._bench.cache.keep_tree_files(key, files)
        return files

    def _memory_key(self, stack: Stack) -> str:
        about = [*stack.chain, "", *self._sources, "", self._excludes.key(), str(self._parents)]
        return hashlib.sha256("\0".join(about).encode("utf-8", "surrogateescape")).hexdigest()

    def _digest(self, digests: ContentDigests) -> dict[str, str]:
        tree = self.tree
        files = {}
        for number, choice in enumerate(self.choices()):
            skip = self.skipper(choice.found)
            for entry in tree.walk(choice.found):
                if entry.path and skip(entry):
                    continue
                digest = entry_digest(entry, digests, tree.owned_by_root)
                # A link is called by its own name where it goes, so that counts too.
                about = "" if entry.path else f" as {number}:{choice.found.name}"
                files[entry.full_path or "."] = digest + about
        return files


def _plain(path: str) -> str:
    """Return a path as the tree names it: without slashes at its ends, dots and empty names."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _below(pivot: str, path: str) -> str:
    return path.removeprefix(f"{pivot}/") if pivot else path
