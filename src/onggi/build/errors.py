"""How a build fails: always with the file, the lines and the text that are to blame."""

from __future__ import annotations

from onggi.errors import InvalidInput, OnggiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.source import Range, Source


class BuildError(OnggiError):
    """A step of a build failed; `excerpt` shows where, as ``docker build`` prints it.

    `place` may be missing at first: whoever knows it adds it with :meth:`located`.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.source: Source | None = None
        self.range: Range | None = None

    def located(self, source: Source, lines: Range) -> BuildError:
        """Return this error with its place in the Dockerfile, unless it has one already."""
        if self.source is None:
            self.source, self.range = source, lines
        return self

    @property
    def excerpt(self) -> str:
        """The lines to blame with their neighbours, or nothing when no line is to blame."""
        if self.source is None or self.range is None:
            return ""
        return self.source.excerpt(self.range)


class DockerfileError(BuildError, InvalidInput):
    """The Dockerfile, or what it names, makes no sense.

    Docker's own command line leaves a build with 1 whatever the reason, so this does too.
    """

    exit_code = 1


class SyntaxProblem(ValueError):
    """A piece of text breaks the Dockerfile's grammar; whoever knows the line wraps it."""


class RunFailed(BuildError):
    """The command of a RUN step ended with something else than 0."""

    def __init__(self, argv: list[str], status: int) -> None:
        super().__init__(
            f'process "{" ".join(argv)}" did not complete successfully: exit code: {status}'
        )
        self.argv = argv
        self.status = status
