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

import os

from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from onggi.image.images import Image
    from onggi.oci.reference import Reference
    from onggi.store.store import Store

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

    def write(self, store: Store, image: Image, references: Sequence[Reference]) -> None:
        """Write the result, unless it goes into the store or nowhere.

        Raises: OSError; BuildError: something is in the way.
        """
        if self.kind == "local":
            _write_directory(store, image, self.path)
        elif self.file is not None and self.kind == "tar":
            from onggi.store.tar_write import tree_archive

            self.file.writelines(tree_archive(_layers(store, image)))
        elif self.file is not None:
            from onggi.image.archive_save import save_image

            save_image(store, image, references, self.file, self.kind)


def _fields(text: str) -> dict[str, str]:
    said = {}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals:
            raise InvalidInput(f"{field!r} in --output {text!r} is no KEY=VALUE")
        said[{"destination": "dest"}.get(key.strip().lower(), key.strip().lower())] = value
    return said


def _layers(store: Store, image: Image) -> list[str]:
    """Return the directories that overlayfs would stack, the topmost first."""
    from onggi.build.rootfs import layer_by_layer

    [overlay] = store.snapshots.view(image.diff_ids)
    mark = "lowerdir+="
    options = layer_by_layer(overlay).options
    return [option.removeprefix(mark) for option in options if option.startswith(mark)]


def _write_directory(store: Store, image: Image, path: str) -> None:
    """Copy all files into a directory, over those of the same name; they belong to the caller."""
    from onggi.build.copying import Attributes, Destination
    from onggi.build.rootfs import open_root
    from onggi.build.tree import Tree
    from onggi.linux.fd import Fd

    os.makedirs(path, exist_ok=True)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with (
        open_root(store.snapshots.view(image.diff_ids), store.workshop) as root,
        Fd(os.open(path, flags)) as directory,
    ):
        tree = Tree(root.fileno())
        owner = (os.geteuid(), os.getegid())
        destination = Destination(directory.fileno(), Attributes(owner=owner))
        destination.copy(tree, tree.at(""), "/", lambda _entry: False)
