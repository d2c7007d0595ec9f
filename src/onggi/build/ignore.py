r"""Which files of the context a ``.dockerignore`` leaves out.

Facts:
- The last pattern that matches a path decides; ``!`` in front makes it one that keeps.
- A pattern also matches everything below a directory that it matches.
- ``*`` and ``?`` stop at a slash, ``**`` does not; ``[a-z]`` and ``\`` are as in Go's path.Match.
- The Dockerfile and ``.dockerignore`` may be left out too: the builder reads them all the same.
- ``NAME.dockerignore`` beside a Dockerfile called NAME takes the place of ``.dockerignore``.

Source: moby/patternmatcher, patternmatcher.go and ignorefile/ignorefile.go; docs.docker.com
".dockerignore files".
"""

from __future__ import annotations

import posixpath

from onggi.build.errors import DockerfileError
from onggi.build.wildcards import class_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

LONGEST_FILE = 1 << 20


class Pattern:
    """One line: `keeps` when it began with ``!``."""

    __slots__ = ("_exact", "_regex", "keeps", "text")

    def __init__(self, text: str, keeps: bool) -> None:
        self.text = text
        self.keeps = keeps
        self._exact = not any(mark in text for mark in "*?[]\\")
        self._regex: re.Pattern[str] | None = None

    def matches(self, path: str) -> bool:
        """Whether the pattern matches this path itself."""
        if self._exact:
            return path == self.text
        if self._regex is None:
            self._regex = _compile(self.text)
        return self._regex.match(path) is not None


class Ignore:
    """All patterns of a file, asked path by path from the top down."""

    __slots__ = ("patterns",)

    def __init__(self, patterns: tuple[Pattern, ...] = ()) -> None:
        self.patterns = patterns

    @property
    def has_keeps(self) -> bool:
        """Whether something below a directory that is left out may be kept after all."""
        return any(pattern.keeps for pattern in self.patterns)

    def ignored(self, path: str, above: tuple[bool, ...] = ()) -> tuple[bool, tuple[bool, ...]]:
        """Tell whether `path` is left out.

        Args:
            path: relative, without a leading slash.
            above: what this returned for the directory that holds it, empty at the top.
        Returns: the answer, and which patterns matched, to be passed on for what lies below.
        """
        ignored = False
        matched = []
        for number, pattern in enumerate(self.patterns):
            match = bool(above) and above[number]
            if not match and pattern.keeps == ignored:
                match = pattern.matches(path)
            matched.append(match)
            if match:
                ignored = not pattern.keeps
        return ignored, tuple(matched)

    def ignores(self, path: str) -> bool:
        """Tell whether `path` is left out, looking at all directories above it too."""
        above: tuple[bool, ...] = ()
        ignored = False
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            ignored, above = self.ignored("/".join(parts[:length]), above)
        return ignored

    def key(self) -> str:
        """What of the patterns counts for the cache: those and nothing else."""
        return "\n".join(
            f"{'!' if pattern.keeps else ''}{pattern.text}" for pattern in self.patterns
        )


def read_ignore(text: str, name: str) -> Ignore:
    """Read the text of a ``.dockerignore``.

    Raises: DockerfileError: a pattern makes no sense.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    return make_ignore([line for line in lines if line[:1] != "#"], name)


def make_ignore(lines: Iterable[str], name: str) -> Ignore:
    """Make an Ignore of patterns; blank ones do not count.

    Raises: DockerfileError: a pattern makes no sense; `name` says where it stood.
    """
    patterns = [_pattern(line.strip(), name) for line in lines]
    return Ignore(tuple(pattern for pattern in patterns if pattern is not None))


def _pattern(line: str, name: str) -> Pattern | None:
    keeps = line.startswith("!")
    line = line.removeprefix("!").strip()
    if keeps and not line:
        raise DockerfileError(f'{name}: illegal exclusion pattern: "!"')
    if not line:
        return None
    text = posixpath.normpath(line)
    if len(text) > 1:
        text = text.lstrip("/")
    pattern = Pattern(text, keeps)
    try:
        pattern.matches("")
    except ValueError as error:
        raise DockerfileError(f"{name}: bad pattern {line!r}: {error}") from None
    return pattern


def _compile(text: str) -> re.Pattern[str]:
    """Translate a pattern; ``**/`` matches any number of directories, none among them.

    A pattern that is only a plain text after ``**`` matches whatever ends with that text.
    """
    import re

    if text.startswith("**") and not any(mark in text[2:] for mark in "*?[\\") and text[2:3] != "/":
        return re.compile(f".*{re.escape(text[2:])}\\Z", re.DOTALL)
    pieces = []
    at = 0
    while at < len(text):
        piece, at = _translated(text, at)
        pieces.append(piece)
    return re.compile("".join(pieces) + r"\Z", re.DOTALL)


def _translated(text: str, at: int) -> tuple[str, int]:
    """Translate what stands at one place; return the place after it too."""
    import re

    if text.startswith("**", at):
        at += 3 if text.startswith("**/", at) else 2
        return ("(?:.*/)?" if at < len(text) else ".*"), at
    if text[at] == "[":
        end = class_end(text, at)
        return text[at:end], end
    if text[at] == "\\":
        if at + 1 == len(text):
            raise ValueError("it ends with a backslash")
        return re.escape(text[at + 1]), at + 2
    return {"*": "[^/]*", "?": "[^/]"}.get(text[at], re.escape(text[at])), at + 1
