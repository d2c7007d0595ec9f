"""COPY and ADD: what they depend on, and carrying them out."""

from __future__ import annotations

import posixpath

from onggi.build.errors import BuildError
from onggi.build.expansion import Expander
from onggi.build.keys import StepInputs
from onggi.build.selection import Selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from onggi.build.bench import Bench
    from onggi.build.copying import Destination
    from onggi.build.download import Download
    from onggi.build.heredoc import Heredoc
    from onggi.build.instructions import Transfer
    from onggi.build.new_layer import NewLayer
    from onggi.build.state import StageState

# Inside a document quotes are characters like any other.
_DOCUMENT = Expander(plain_quotes=True)
_DOCUMENT_MODE = 0o644
_DOWNLOAD_MODE = 0o600


class TransferStep:
    """One COPY or ADD whose variables are expanded."""

    def __init__(self, bench: Bench, state: StageState, instruction: Transfer) -> None:
        self._bench = bench
        self._state = state
        self._what = instruction
        self._stack = bench.stack(instruction.source_stage)
        self._documents = [(each.name, self._text(each)) for each in instruction.heredocs]
        local, self._downloads = self._split_sources()
        self._selection = Selection(
            bench,
            self._stack,
            local,
            excludes=instruction.excludes,
            parents=instruction.parents,
        )
        self._destination = _destination(state, instruction.destination)

    def _text(self, heredoc: Heredoc) -> bytes:
        text = heredoc.content
        if heredoc.expand:
            text = _DOCUMENT.word(text, self._state.variables.values)
        return text.encode("utf-8", "surrogateescape")

    def _split_sources(self) -> tuple[list[str], list[Download]]:
        """Tell paths from URLs; the latter need ADD."""
        local = [source for source in self._what.sources if not _is_remote(source)]
        remote = [source for source in self._what.sources if _is_remote(source)]
        checksum = self._what.checksum
        if not remote:
            if checksum:
                raise BuildError("checksum requires HTTP(S) sources")
            return local, []
        if not self._what.is_add:
            raise BuildError("source can't be a URL for COPY", hint="ADD takes URLs")
        if checksum and len(self._what.sources) > 1:
            raise BuildError("checksum can't be specified for multiple sources")
        from onggi.build.download import Download

        return local, [Download(self._bench, source, checksum) for source in remote]

    @property
    def title(self) -> str:
        """What the history and people are told."""
        return self._what.title

    @property
    def created_by(self) -> str:
        """The line of history."""
        return f"{self._what.keyword} {self._said()}"

    def _said(self) -> str:
        what = self._what
        flags = [f"--{name}={value}" for name, value in self._flags() if value]
        documents = [f"<<{name}" for name, _ in self._documents]
        return " ".join([*flags, *what.sources, *documents, what.destination])

    def _flags(self) -> list[tuple[str, str]]:
        what = self._what
        return [
            ("from", what.source_stage),
            ("chown", what.chown),
            ("chmod", what.chmod),
            ("checksum", what.checksum),
            ("link", "true" if what.link else ""),
            ("parents", "true" if what.parents else ""),
            *(("exclude", pattern) for pattern in what.excludes),
            ("unpack", "" if what.unpack is None else str(what.unpack).lower()),
        ]

    def inputs(self) -> StepInputs:
        """Return all that the result depends on.

        Raises: SourceNotFound; BuildError
        """
        return StepInputs(
            f"{self._what.keyword} {self._said()}",
            () if self._independent else self._state.chain,
            settings={
                "destination": self._destination,
                "sources": list(self._what.sources),
                "SOURCE_DATE_EPOCH": self._bench.epoch_text(),
            },
            files=self._files(),
        )

    @property
    def _independent(self) -> bool:
        """Whether the layer is the same on whatever it stands: --link, and no names to look up."""
        return self._what.link and all(part.isdigit() for part in self._owner_parts())

    def _owner_parts(self) -> list[str]:
        return [part for part in self._what.chown.split(":") if part]

    def _files(self) -> dict[str, str]:
        import hashlib

        files = self._selection.files()
        for name, data in self._documents:
            files[f"<<{name}"] = hashlib.sha256(data).hexdigest()
        for download in self._downloads:
            files[download.url] = download.digest()
        return files

    def carry_out(self, layer: NewLayer, number: int) -> None:
        """Copy everything into a new layer; nothing is written about it, so `number` is unused.

        Raises: BuildError; OSError
        """
        from onggi.build.copying import Attributes, Destination
        from onggi.build.ownership import Permissions

        permissions = Permissions(self._what.chmod) if self._what.chmod else None
        with layer.open() as root:
            attributes = Attributes(
                owner=self._owner(root.fileno()),
                permissions=permissions,
                time_ns=self._bench.time_ns,
            )
            self._copy_all(Destination(root.fileno(), attributes))

    def chain(self) -> tuple[str, ...]:
        """Return the diff IDs that the new layer is made on."""
        return () if self._what.link else self._state.chain

    def _owner(self, root_fd: int) -> tuple[int, int] | None:
        if not self._what.chown:
            return None
        from onggi.build.ownership import resolve_owner
        from onggi.build.sources import Stack
        from onggi.linux.path import Inside

        if self._what.link and not self._independent:
            # The layer stands on nothing, so names are looked up in what the image has so far.
            stack = Stack([layer.diff_id for layer in self._state.layers])
            return resolve_owner(self._what.chown, self._bench.sources.tree(stack).inside)
        return resolve_owner(self._what.chown, Inside(root_fd))

    def _copy_all(self, destination: Destination) -> None:
        choices = self._selection.choices()
        count = len(choices) + len(self._documents) + len(self._downloads)
        path = self._destination
        if count > 1 and not path.endswith("/") and not destination.is_directory(path):
            raise BuildError(
                f"when using {self._what.keyword} with more than one source file, "
                "the destination must be a directory and end with a /"
            )
        for choice in choices:
            self._selection.copy(choice, destination, path, unpack=self._unpacks)
        for name, data in self._documents:
            self._put(destination, name, [data], _DOCUMENT_MODE, 0)
        for download in self._downloads:
            with download.open() as file:
                pieces = iter(lambda: file.read(1 << 20), b"")
                self._put(destination, download.name, pieces, _DOWNLOAD_MODE, download.time_ns)

    @property
    def _unpacks(self) -> bool:
        return self._what.is_add if self._what.unpack is None else self._what.unpack

    def _put(
        self, destination: Destination, name: str, pieces: Iterable[bytes], mode: int, time_ns: int
    ) -> None:
        """Put a document or a download at the destination, or into it if it is a directory."""
        path = self._destination
        destination.make_directories(path if path.endswith("/") else posixpath.dirname(path))
        if destination.is_directory(path):
            path = f"{path.rstrip('/')}/{name}"
        destination.put_stream(pieces, path, mode, time_ns)


def _is_remote(source: str) -> bool:
    """Whether a source is a URL; those of git repositories are refused when they are used."""
    return source.startswith(("http://", "https://", "git://", "git@", "ssh://"))


def _destination(state: StageState, path: str) -> str:
    """Make a destination absolute; a slash at its end, or a dot, says that it is a directory."""
    is_directory = path.endswith(("/", "/.")) or path in ("", ".")
    joined = posixpath.normpath(posixpath.join("/", state.working_dir, path)).lstrip("/")
    return f"/{joined}/" if is_directory and joined else f"/{joined}"
