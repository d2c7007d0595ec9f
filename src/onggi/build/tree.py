"""Trees that COPY, ADD and mounts take files from: the context, another stage, an image.

Every lookup starts from a descriptor and is resolved by the kernel inside it, so that no link,
however it is changed meanwhile, leads to a file outside. Below a directory that was found, only
plain names are opened, never through a link.
"""

from __future__ import annotations

import os
import stat

from onggi.build.errors import BuildError
from onggi.build.ignore import Ignore
from onggi.build.wildcards import has_wildcards, matches, unescaped
from onggi.linux.fd import Fd
from onggi.linux.path import O_PATH, Inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Deeper than any tree that people make, and far from the limit of open descriptors.
DEEPEST = 400

# A context is what lies in a directory, not the directory, which may be a private one of mktemp(1):
# COPY . /srv must not shut the image's users out of /srv. BuildKit has a directory of its own too.
_CONTEXT_MODE = stat.S_IFDIR | 0o755

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class SourceNotFound(BuildError):
    """Nothing in the tree has this name."""

    def __init__(self, path: str, *, hint: str = "") -> None:
        super().__init__(f'"{path}": not found', hint=hint)
        self.path = path


class Found:
    """One thing that a source named.

    Attributes:
        path: where it is, relative to the tree's root. name: what it is called where it goes.
        status: its own, not that of a link.
    """

    __slots__ = ("name", "path", "status")

    def __init__(self, path: str, name: str, status: os.stat_result) -> None:
        self.path = path
        self.name = name
        self.status = status

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, whose contents are meant."""
        return stat.S_ISDIR(self.status.st_mode)


class Entry:
    """One file, link or directory on a walk; it can be read only until the next one comes.

    Attributes:
        path: relative to where the walk began, empty for that itself.
        full_path: relative to the tree's root. mode: kind and permissions, as they count.
    """

    __slots__ = ("_directory_fd", "_name", "full_path", "mode", "path", "status")

    def __init__(
        self, directory_fd: int, name: str, path: str, full_path: str, status: os.stat_result
    ) -> None:
        self._directory_fd = directory_fd
        self._name = name
        self.path = path
        self.full_path = full_path
        self.status = status
        self.mode = status.st_mode

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.status.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.status.st_mode)

    def open(self) -> int:
        """Open the file for reading, if it is still the one that was seen.

        Returns: a descriptor the caller owns.
        Raises: OSError; BuildError: it was exchanged meanwhile.
        """
        with Fd(os.open(self._name, _READ, dir_fd=self._directory_fd)) as file:
            now = os.fstat(file.fileno())
            if (now.st_dev, now.st_ino) != (self.status.st_dev, self.status.st_ino):
                raise BuildError(f'"{self.full_path}" was exchanged while it was being read')
            return file.take()

    def read_link(self) -> str:
        """Read where a link leads."""
        return os.readlink(self._name, dir_fd=self._directory_fd)


class Tree:
    """A directory as a source of files.

    Args:
        root_fd: borrowed; must stay open. ignore: what does not count as being there.
        owned_by_root: files of the context belong to root, whoever owns them here.
    """

    __slots__ = ("_root_fd", "ignore", "inside", "owned_by_root")

    def __init__(
        self, root_fd: int, *, ignore: Ignore | None = None, owned_by_root: bool = False
    ) -> None:
        self._root_fd = root_fd
        self.inside = Inside(root_fd)
        self.ignore = ignore or Ignore()
        self.owned_by_root = owned_by_root

    def find(self, source: str) -> list[Found]:
        """Find what a source of COPY names, links in its path and at its end followed inside.

        Returns: one thing, or for a pattern any number of them, none included.
        Raises: SourceNotFound: not a pattern, and nothing is there.
        """
        parts = [part for part in source.split("/") if part not in ("", ".")]
        plain = 0
        while plain < len(parts) and not has_wildcards(parts[plain]):
            plain += 1
        above = "/".join(unescaped(part) for part in parts[:plain])
        if plain == len(parts):
            return [self.at(above, source)]
        try:
            paths = self._matching(above, parts[plain:])
            return [self.at(path) for path in sorted(paths)]
        except ValueError as error:
            raise BuildError(f'bad pattern "{source}": {error}') from None
        except (FileNotFoundError, NotADirectoryError):
            return []

    def at(self, path: str, source: str = "") -> Found:
        """Find what is at a path, which is no pattern; `source` is what users know it as.

        Raises: SourceNotFound
        """
        hint = "it is left out by .dockerignore" if self.ignore.patterns else ""
        try:
            with Fd(self.inside.open(path, O_PATH)) as place:
                resolved = self._resolved(place, path)
                if not resolved or not self._left_out(resolved, place):
                    name = path.rpartition("/")[2]
                    return Found(resolved, name, os.fstat(place.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            hint = self._missing(path, source or path)
        raise SourceNotFound(f"/{(source or path).lstrip('/')}", hint=hint)

    def _missing(self, path: str, source: str) -> str:
        """Say of what is not there what may have been misunderstood."""
        if ".." in source.split("/"):
            return "nothing above the build context can be copied"
        try:
            with Fd(self.inside.open(path, O_PATH | os.O_NOFOLLOW)) as place:
                target = os.readlink("", dir_fd=place.fileno())
        except OSError:
            return ""
        return f"it is a link, and what it leads to is not in there: {target}"

    def _resolved(self, place: Fd, path: str) -> str:
        """Return where a path really leads, all links followed, relative to the root."""
        root = os.readlink(f"/proc/self/fd/{self._root_fd}").rstrip("/")
        real = os.readlink(f"/proc/self/fd/{place.fileno()}")
        if real == root:
            return ""
        return real[len(root) + 1 :] if real.startswith(f"{root}/") else path

    def _left_out(self, path: str, place: Fd) -> bool:
        """Whether .dockerignore leaves it out, and everything that it holds."""
        if not self.ignore.patterns or not self.ignore.ignores(path):
            return False
        return not (self.ignore.has_keeps and stat.S_ISDIR(os.fstat(place.fileno()).st_mode))

    def _matching(self, above: str, patterns: list[str]) -> list[str]:
        """List the paths below `above` that patterns match, name by name."""
        first, *rest = patterns
        if first == "**":
            return self._any_depth(above, rest or ["*"])
        with Fd(self.inside.open(above, os.O_RDONLY | os.O_DIRECTORY)) as directory:
            names = [name for name in os.listdir(directory.fileno()) if matches(first, name)]
        paths = [f"{above}/{name}" if above else name for name in names]
        paths = [path for path in paths if rest or not self.ignore.ignores(path)]
        if not rest:
            return paths
        found = []
        for path in paths:
            if self._is_directory(path):
                found += self._matching(path, rest)
        return found

    def _any_depth(self, above: str, rest: list[str]) -> list[str]:
        """List what `rest` matches in a directory and in all below it."""
        found = self._matching(above, rest)
        with Fd(self.inside.open(above, os.O_RDONLY | os.O_DIRECTORY)) as directory:
            names = os.listdir(directory.fileno())
        for path in (f"{above}/{name}" if above else name for name in names):
            if path.count("/") < DEEPEST and self._is_directory(path):
                found += self._any_depth(path, rest)
        return found

    def _is_directory(self, path: str) -> bool:
        try:
            with Fd(self.inside.open(path, O_PATH | os.O_NOFOLLOW)) as place:
                return stat.S_ISDIR(os.fstat(place.fileno()).st_mode)
        except FileNotFoundError:
            return False

    def walk(self, found: Found) -> Iterator[Entry]:
        """Go through what was found, directories before what they hold, names in order."""
        parent, _, name = found.path.rpartition("/")
        flags = os.O_RDONLY | os.O_DIRECTORY
        with Fd(self.inside.open(parent, flags)) as directory:
            entry = Entry(directory.fileno(), name or ".", "", found.path, found.status)
            if self.owned_by_root and not found.path:
                entry.mode = _CONTEXT_MODE
            yield entry
        if not found.is_directory:
            return
        with Fd(self.inside.open(found.path, flags)) as directory:
            yield from self._below(directory, "", found.path, self._above(found.path), 0)

    def _above(self, path: str) -> tuple[bool, ...]:
        above: tuple[bool, ...] = ()
        if self.ignore.patterns and path:
            parts = path.split("/")
            for length in range(1, len(parts) + 1):
                _, above = self.ignore.ignored("/".join(parts[:length]), above)
        return above

    def _below(
        self, directory: Fd, path: str, full: str, above: tuple[bool, ...], depth: int
    ) -> Iterator[Entry]:
        if depth > DEEPEST:
            raise BuildError(f'"/{full}" is more than {DEEPEST} directories deep')
        for name in sorted(os.listdir(directory.fileno())):
            below = f"{path}/{name}" if path else name
            place = f"{full}/{name}" if full else name
            ignored, matched = self.ignore.ignored(place, above)
            if ignored and not self.ignore.has_keeps:
                continue
            status = os.stat(name, dir_fd=directory.fileno(), follow_symlinks=False)
            entry = Entry(directory.fileno(), name, below, place, status)
            if not entry.is_directory:
                if not ignored:
                    yield entry
                continue
            yield from self._directory(entry, ignored, matched, depth)

    def _directory(
        self, entry: Entry, ignored: bool, matched: tuple[bool, ...], depth: int
    ) -> Iterator[Entry]:
        """Walk a directory; one that is left out shows only if something in it is kept."""
        if not ignored:
            yield entry
        child = os.open(entry._name, _READ_DIRECTORY, dir_fd=entry._directory_fd)
        with Fd(child) as directory:
            for inner in self._below(directory, entry.path, entry.full_path, matched, depth + 1):
                if ignored:
                    ignored = False
                    yield entry
                yield inner
