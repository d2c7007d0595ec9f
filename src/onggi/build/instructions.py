"""Instructions as typed values, each with its place in the file.

Values are as written, variables included: ``expanded`` returns the same instruction with them
replaced, in those parts where BuildKit replaces them and nowhere else.

Source: buildkit, frontend/dockerfile/instructions/commands.go.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.build.heredoc import Heredoc
    from onggi.build.source import Range
    from onggi.build.statement import Statement

    Expand = Callable[[str], str]

Pairs = tuple[tuple[str, str], ...]


class Instruction:
    """What all instructions share."""

    __slots__ = ("keyword", "original", "range", "trigger")

    def __init__(self, statement: Statement) -> None:
        self.keyword = statement.keyword
        self.original = statement.original.strip()
        self.range: Range = statement.range
        self.trigger = False
        """Whether it came from an ONBUILD of the base image."""

    def expanded(self, expand: Expand) -> Instruction:
        """Return the instruction with its variables replaced; most have none."""
        return self

    @property
    def title(self) -> str:
        """One line for people."""
        _, _, rest = self.original.partition(" ")
        line = f"{self.keyword} {rest}".rstrip()
        return f"ONBUILD {line}" if self.trigger else line

    def _copy(self, **changes: object) -> Instruction:
        twin = object.__new__(type(self))
        for kind in type(self).__mro__[:-1]:
            for name in getattr(kind, "__slots__", ()):
                object.__setattr__(twin, name, changes.get(name, getattr(self, name)))
        return twin


class From(Instruction):
    """``FROM [--platform=p] image [AS name]``."""

    __slots__ = ("image", "platform", "stage_name")

    def __init__(self, statement: Statement, image: str, stage_name: str, platform: str) -> None:
        super().__init__(statement)
        self.image = image
        self.stage_name = stage_name
        self.platform = platform


class Arg(Instruction):
    """``ARG name[=default] …``; a default of None is none."""

    __slots__ = ("arguments",)

    def __init__(self, statement: Statement, arguments: tuple[tuple[str, str | None], ...]) -> None:
        super().__init__(statement)
        self.arguments = arguments


class _Paired(Instruction):
    __slots__ = ("pairs",)

    def __init__(self, statement: Statement, pairs: Pairs) -> None:
        super().__init__(statement)
        self.pairs = pairs

    def expanded(self, expand: Expand) -> Instruction:
        return self._copy(pairs=tuple((expand(name), expand(value)) for name, value in self.pairs))


class Env(_Paired):
    """``ENV name=value …``."""

    __slots__ = ()


class Label(_Paired):
    """``LABEL name=value …``."""

    __slots__ = ()


class _OneText(Instruction):
    __slots__ = ("text",)

    def __init__(self, statement: Statement, text: str) -> None:
        super().__init__(statement)
        self.text = text


class Maintainer(_OneText):
    """``MAINTAINER name``, deprecated."""

    __slots__ = ()


class Onbuild(_OneText):
    """``ONBUILD instruction``; `text` is the instruction."""

    __slots__ = ()


class _OneExpandedText(_OneText):
    __slots__ = ()

    def expanded(self, expand: Expand) -> Instruction:
        return self._copy(text=expand(self.text))


class Workdir(_OneExpandedText):
    """``WORKDIR path``."""

    __slots__ = ()


class User(_OneExpandedText):
    """``USER user[:group]``."""

    __slots__ = ()


class StopSignal(_OneExpandedText):
    """``STOPSIGNAL signal``."""

    __slots__ = ()


class _Listed(Instruction):
    __slots__ = ("words",)

    def __init__(self, statement: Statement, words: tuple[str, ...]) -> None:
        super().__init__(statement)
        self.words = words


class Volume(_Listed):
    """``VOLUME path …``."""

    __slots__ = ()

    def expanded(self, expand: Expand) -> Instruction:
        return self._copy(words=tuple(expand(word) for word in self.words))


class Expose(_Listed):
    """``EXPOSE port[/protocol] …``; a variable may hold several, so who applies it expands."""

    __slots__ = ()


class Shell(_Listed):
    """``SHELL ["program", "argument", …]``."""

    __slots__ = ()


class Command(_Listed):
    """A command line: one text for the shell, or, with `is_exec`, the words to execute."""

    __slots__ = ("is_exec",)

    def __init__(self, statement: Statement, words: tuple[str, ...], is_exec: bool) -> None:
        super().__init__(statement, words)
        self.is_exec = is_exec


class Cmd(Command):
    """``CMD command``."""

    __slots__ = ()


class Entrypoint(Command):
    """``ENTRYPOINT command``."""

    __slots__ = ()


class Run(Command):
    """``RUN [--mount=…] [--network=…] command``; `mounts` are not read before expansion."""

    __slots__ = ("heredocs", "mounts", "network")

    def __init__(
        self,
        statement: Statement,
        words: tuple[str, ...],
        is_exec: bool,
        *,
        mounts: tuple[str, ...],
        network: str,
    ) -> None:
        super().__init__(statement, words, is_exec)
        self.heredocs: tuple[Heredoc, ...] = tuple(statement.heredocs)
        self.mounts = mounts
        self.network = network


class Healthcheck(Instruction):
    """``HEALTHCHECK NONE`` or ``HEALTHCHECK CMD command``; `settings` as in the image's config."""

    __slots__ = ("settings",)

    def __init__(self, statement: Statement, settings: dict[str, object]) -> None:
        super().__init__(statement)
        self.settings = settings


class Transfer(Instruction):
    """COPY or ADD: files go from the context, a stage, an image, a document or a URL.

    Attributes:
        source_stage: what ``--from`` named, empty for the context. unpack: whether archives are
            unpacked (None: the instruction's own default, which is local ones by ADD only).
    """

    __slots__ = (
        "checksum",
        "chmod",
        "chown",
        "destination",
        "excludes",
        "heredocs",
        "is_add",
        "link",
        "parents",
        "source_stage",
        "sources",
        "unpack",
    )

    def __init__(
        self,
        statement: Statement,
        *,
        sources: tuple[str, ...],
        heredocs: tuple[Heredoc, ...],
        destination: str,
    ) -> None:
        super().__init__(statement)
        self.is_add = self.keyword == "ADD"
        self.sources = sources
        self.heredocs = heredocs
        self.destination = destination
        self.source_stage = ""
        self.chown = ""
        self.chmod = ""
        self.checksum = ""
        self.link = False
        self.parents = False
        self.excludes: tuple[str, ...] = ()
        self.unpack: bool | None = None

    def expanded(self, expand: Expand) -> Instruction:
        return self._copy(
            sources=tuple(expand(source) for source in self.sources),
            destination=expand(self.destination),
            chown=expand(self.chown),
            chmod=expand(self.chmod),
            checksum=expand(self.checksum),
            excludes=tuple(expand(pattern) for pattern in self.excludes),
        )
