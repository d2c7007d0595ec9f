"""What a build reads before it begins: the Dockerfile, the ignore file, where the context is."""

from __future__ import annotations

import hashlib
import os

from onggi.build.errors import DockerfileError
from onggi.build.ignore import LONGEST_FILE, Ignore, read_ignore
from onggi.build.options import STDIN
from onggi.build.source import Source
from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.options import BuildOptions

_LONGEST_DOCKERFILE = 4 << 20


class Inputs:
    """What a build begins with.

    Attributes:
        source: the Dockerfile. context: an absolute directory, empty for none. ignore: what of
            it does not count. identity: of this Dockerfile in this context, for the cache.
    """

    __slots__ = ("context", "identity", "ignore", "source")

    def __init__(self, source: Source, context: str, ignore: Ignore, path: str) -> None:
        self.source = source
        self.context = context
        self.ignore = ignore
        self.identity = _identity(context, path)

    @property
    def context_id(self) -> str:
        """Name what is known of the context's files, whatever Dockerfile is used."""
        return _identity(self.context, "")


def read_inputs(options: BuildOptions) -> Inputs:
    """Read a build's Dockerfile and ignore file.

    Raises: InvalidInput: the context is no directory. DockerfileError: a file is missing, too
        large, or no text.
    """
    if options.context == STDIN:
        return Inputs(_decoded("Dockerfile", options.stdin), "", Ignore(), STDIN)
    context = _directory(options.context)
    if options.dockerfile == STDIN:
        ignore = _ignore(f"{context}/.dockerignore")
        return Inputs(_decoded("Dockerfile", options.stdin), context, ignore, STDIN)
    path = _dockerfile(context, options.dockerfile)
    data = _read(path, _LONGEST_DOCKERFILE)
    ignore = _ignore(f"{path}.dockerignore", f"{context}/.dockerignore")
    source = _decoded(options.dockerfile or "Dockerfile", data)
    return Inputs(source, context, ignore, os.path.realpath(path))


def _directory(path: str) -> str:
    if not path:
        raise InvalidInput("the build context is empty", hint="give a directory, such as .")
    real = os.path.realpath(path)
    if not os.path.exists(real):
        raise InvalidInput(f"path {path!r} not found", hint="the build context is a directory")
    if not os.path.isdir(real):
        raise InvalidInput(f"{path!r} is not a directory", hint="the build context is a directory")
    return real


def _dockerfile(context: str, path: str) -> str:
    """Find the Dockerfile: as named from here, else as named from the context."""
    if not path:
        return f"{context}/Dockerfile"
    inside = os.path.join(context, path)
    return inside if not os.path.exists(path) and os.path.exists(inside) else path


def _read(path: str, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise DockerfileError(
            f"failed to read dockerfile: open {path}: no such file or directory",
            hint="name another with --file",
        ) from None
    except OSError as error:
        raise DockerfileError(f"failed to read dockerfile: {path}: {error.strerror}") from error
    if len(data) > limit:
        raise DockerfileError(f"{path} has more than {limit} bytes")
    return data


def _decoded(name: str, data: bytes) -> Source:
    if not data.strip():
        raise DockerfileError("the Dockerfile cannot be empty")
    if b"\0" in data:
        raise DockerfileError(f"{name} is no text: it has NUL bytes")
    return Source(name, data.decode("utf-8", "surrogateescape"))


def _ignore(*paths: str) -> Ignore:
    """Read the first of these files that exists."""
    for path in paths:
        if os.path.exists(path):
            text = _read(path, LONGEST_FILE).decode("utf-8", "surrogateescape")
            return read_ignore(text, os.path.basename(path))
    return Ignore()


def _identity(context: str, path: str) -> str:
    return hashlib.sha256(os.fsencode(f"{context}\0{path}")).hexdigest()
