"""Where the result of a build goes: ``--output``.

    DIR                         the files of the last stage, into a directory
    -                           the same as a tar archive, to standard output
    type=local,dest=DIR
    type=tar,dest=FILE          without dest, or with `-`: to standard output
    type=oci,dest=FILE          an archive of the image, as `onggi save` writes one
    type=docker,dest=FILE       the same; without dest the image goes into the store
    type=image[,name=NAME]      into the store, which is the default
    type=cacheonly              nowhere

Source: docs.docker.com, buildx build, "--output"; docker/buildx util/buildflags/export.go.
"""

from __future__ import annotations

from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_KINDS = ("local", "tar", "oci", "docker", "image", "cacheonly")
_ARCHIVES = ("tar", "oci", "docker")
_STDOUT = "-"


class Output:
    """One place for a result.

    Attributes:
        kind: one of those above. path: of the directory or file; empty where there is none, and
            for standard output. name: further names, for an image. file: what an archive is
            written to, opened by whoever made this.
    """

    __slots__ = ("file", "kind", "name", "path")

    def __init__(
        self, kind: str, *, path: str = "", name: str = "", file: BinaryIO | None = None
    ) -> None:
        self.kind = kind
        self.path = path
        self.name = name
        self.file = file

    @classmethod
    def parse(cls, text: str) -> Output:
        """Read one value of ``--output``.

        Raises: InvalidInput
        """
        if text == _STDOUT:
            return cls("tar")
        if "=" not in text:
            return cls._checked("local", text, "")
        said = _fields(text)
        kind = said.pop("type", "")
        path = said.pop("dest", "")
        name = said.pop("name", "")
        if kind == "registry" or said.pop("push", "false") != "false":
            raise InvalidInput(
                "images cannot be pushed yet",
                hint="leave out --output, then: skopeo copy oci:STORE:NAME docker://…",
            )
        if said:
            raise InvalidInput(f"unknown key {next(iter(said))!r} in --output {text!r}")
        return cls._checked(kind, path, name)

    @classmethod
    def _checked(cls, kind: str, path: str, name: str) -> Output:
        if kind not in _KINDS:
            raise InvalidInput(f"unknown --output type {kind!r}", hint=", ".join(_KINDS))
        if kind == "local" and not path:
            raise InvalidInput("--output type=local needs a directory", hint="dest=DIR")
        if path and kind in ("image", "cacheonly"):
            raise InvalidInput(f"--output type={kind} has no dest", hint="type=oci,dest=FILE")
        if kind == "docker" and not path:
            kind = "image"
        return cls(kind, path="" if path == _STDOUT else path, name=name)

    @property
    def is_archive(self) -> bool:
        """Whether it is one file, to be opened as `file`."""
        return self.kind in _ARCHIVES

    @property
    def is_stored(self) -> bool:
        """Whether the image goes into the store."""
        return self.kind == "image"


def _fields(text: str) -> dict[str, str]:
    said = {}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals:
            raise InvalidInput(f"{field!r} in --output {text!r} is no KEY=VALUE")
        said[{"destination": "dest"}.get(key.strip().lower(), key.strip().lower())] = value
    return said
