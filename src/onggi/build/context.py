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
    from onggi.store.workshop import Workshop

_LONGEST_DOCKERFILE = 4 << 20
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")


class Inputs:
    """What a build begins with.

    Attributes:
        source: the Dockerfile. context: an absolute directory, empty for none. ignore: what of
            it does not count. where: context and Dockerfile in words that the next build of them
            has too. unpacked_in: what holds the context if it came as an archive.
    """

    __slots__ = ("context", "ignore", "source", "unpacked_in", "where")

    def __init__(
        self, source: Source, context: str, ignore: Ignore, where: tuple[str, str]
    ) -> None:
        self.source = source
        self.context = context
        self.ignore = ignore
        self.where = where
        self.unpacked_in: Workshop | None = None

    def close(self) -> None:
        """Remove a context that was unpacked for this build alone."""
        if self.unpacked_in is not None:
            self.unpacked_in.remove(self.context)

    @property
    def identity(self) -> str:
        """Name this Dockerfile in this context, for the cache."""
        return _identity(*self.where)

    @property
    def context_id(self) -> str:
        """Name what is known of the context's files, whatever Dockerfile is used."""
        return _identity(self.where[0], "")


def read_inputs(options: BuildOptions, workshop: Workshop) -> Inputs:
    """Read a build's Dockerfile and ignore file; a context that comes as an archive is unpacked.

    Raises: InvalidInput: the context is no directory. DockerfileError: a file is missing, too
        large, or no text. BuildError: the archive is damaged.
    """
    if options.context == STDIN:
        return _from_stdin(options, workshop)
    context = _directory(options.context)
    if options.dockerfile == STDIN:
        ignore = ignore_of(context)
        source = _decoded("Dockerfile", options.stdin.read(_LONGEST_DOCKERFILE + 1))
        return Inputs(source, context, ignore, (context, STDIN))
    path = _dockerfile(context, options.dockerfile)
    data = _read(path, _LONGEST_DOCKERFILE)
    ignore = _ignore(f"{path}.dockerignore", f"{context}/.dockerignore")
    source = _decoded(options.dockerfile or "Dockerfile", data)
    return Inputs(source, context, ignore, (context, os.path.realpath(path)))


def _from_stdin(options: BuildOptions, workshop: Workshop) -> Inputs:
    """Read standard input as an archive of the context, or else as the Dockerfile alone."""
    from onggi.build.stdin_context import Beginning, unpack_context

    beginning = Beginning(options.stdin)
    if not beginning.is_archive:
        if options.dockerfile not in ("", STDIN):
            raise InvalidInput(
                "standard input is a Dockerfile already", hint="give a directory beside --file"
            )
        data = beginning.stream().read(_LONGEST_DOCKERFILE + 1)
        return Inputs(_decoded("Dockerfile", data), "", Ignore(), (STDIN, ""))
    if options.dockerfile == STDIN:
        raise InvalidInput(
            "standard input cannot be both the context and the Dockerfile",
            hint="name one in the archive with --file",
        )
    context = workshop.new_directory()
    unpack_context(beginning.stream(), context)
    name = options.dockerfile or "Dockerfile"
    source = _decoded(name, _read_inside(context, name, _LONGEST_DOCKERFILE))
    inputs = Inputs(source, context, _ignore_inside(context, name), (STDIN, name))
    inputs.unpacked_in = workshop
    return inputs


def _read_inside(context: str, name: str, limit: int) -> bytes:
    """Read a file of an unpacked archive, whose links may want to lead out of it.

    Raises: DockerfileError
    """
    from onggi.linux.fd import Fd
    from onggi.linux.path import Inside

    with Fd(os.open(context, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
        try:
            return _read_file(Inside(root.fileno()).open(name, os.O_PATH), name, limit)
        except OSError as error:
            raise _unreadable(name, error) from error


def _ignore_inside(context: str, dockerfile: str) -> Ignore:
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        if os.path.lexists(f"{context}/{name}"):
            data = _read_inside(context, name, LONGEST_FILE)
            return read_ignore(data.decode("utf-8", "surrogateescape"), os.path.basename(name))
    return Ignore()


def _directory(path: str) -> str:
    if not path:
        raise InvalidInput("the build context is empty", hint="give a directory, such as .")
    if path.startswith(_REMOTE):
        raise InvalidInput(
            f"a context cannot be fetched: {path!r}",
            hint="git clone it, or: curl URL | onggi build -",
        )
    real = os.path.realpath(path)
    if not os.path.exists(real):
        raise InvalidInput(f"path {path!r} not found", hint="the build context is a directory")
    if not os.path.isdir(real):
        raise InvalidInput(f"{path!r} is not a directory", hint="the build context is a directory")
    return real


def _dockerfile(context: str, path: str) -> str:
    """Find the Dockerfile: as named from here, else as named from the context."""
    if not path:
        lower = f"{context}/dockerfile"  # as BuildKit looks for it when there is no other
        usual = f"{context}/Dockerfile"
        return lower if os.path.exists(lower) and not os.path.lexists(usual) else usual
    inside = os.path.join(context, path)
    return inside if not os.path.exists(path) and os.path.exists(inside) else path


def _read(path: str, limit: int) -> bytes:
    try:
        return _read_file(os.open(path, os.O_PATH | os.O_CLOEXEC), path, limit)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_file(place_fd: int, name: str, limit: int) -> bytes:
    """Read what an O_PATH descriptor, which this takes, stands for: a file, no fifo or device."""
    from onggi.linux.fd import Fd
    from onggi.linux.path import is_regular, reopen

    with Fd(place_fd) as place:
        if not is_regular(place):
            raise DockerfileError(f"failed to read dockerfile: {name} is not a file")
        with open(reopen(place, os.O_RDONLY), "rb") as file:
            return _limited(file.read(limit + 1), name, limit)


def _unreadable(path: str, error: OSError) -> DockerfileError:
    hint = "name another with --file" if isinstance(error, FileNotFoundError) else ""
    reason = (error.strerror or str(error)).lower()
    return DockerfileError(f"failed to read dockerfile: open {path}: {reason}", hint=hint)


def _limited(data: bytes, path: str, limit: int) -> bytes:
    if len(data) > limit:
        raise DockerfileError(f"{path} has more than {limit} bytes")
    return data


def _decoded(name: str, data: bytes) -> Source:
    _limited(data, name, _LONGEST_DOCKERFILE)
    if not data.strip():
        raise DockerfileError("the Dockerfile cannot be empty")
    if b"\0" in data:
        raise DockerfileError(f"{name} is no text: it has NUL bytes")
    return Source(name, data.decode("utf-8", "surrogateescape"))


def ignore_of(directory: str) -> Ignore:
    """Read what a context leaves out."""
    return _ignore(f"{directory}/.dockerignore")


def _ignore(*paths: str) -> Ignore:
    """Read the first of these files that exists."""
    for path in paths:
        if os.path.exists(path):
            text = _read(path, LONGEST_FILE).decode("utf-8", "surrogateescape")
            return read_ignore(text, os.path.basename(path))
    return Ignore()


def _identity(context: str, path: str) -> str:
    return hashlib.sha256(os.fsencode(f"{context}\0{path}")).hexdigest()
