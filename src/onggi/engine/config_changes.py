"""Dockerfile instructions given one by one, for an image that is made without a Dockerfile.

Source: docker container commit, docker image import, "--change"; moby
builder/dockerfile/dispatchers.go, validCommitCommands.
"""

from __future__ import annotations

from onggi.build.configuring import configure, working_dir
from onggi.build.errors import DockerfileError, SyntaxProblem
from onggi.build.expansion import Expander
from onggi.build.instructions import Instruction, Workdir
from onggi.build.lexer import parse
from onggi.build.source import Source
from onggi.build.state import StageState
from onggi.build.understanding import understand
from onggi.oci.image import ImageConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALLOWED = (
    *("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL"),
    *("ONBUILD", "USER", "VOLUME", "WORKDIR"),
)


def changed(config: ImageConfig, changes: Iterable[str]) -> ImageConfig:
    """Return the configuration with the instructions applied to it, in order.

    Raises: DockerfileError: what is no instruction, or none that may stand here.
    """
    state = StageState(config, ())
    for text in changes:
        source = Source("--change", text)
        for instruction in _instructions(source):
            _apply(state, instruction, source)
    return config.with_fields({"config": state.settings})


def _instructions(source: Source) -> Iterator[Instruction]:
    syntax = parse(source)
    for statement in syntax.statements:
        if statement.keyword not in ALLOWED:
            raise DockerfileError(
                f"{statement.keyword} is not a valid change command", hint=", ".join(ALLOWED)
            ).located(source, statement.range)
        yield understand(statement, source)


def _apply(state: StageState, instruction: Instruction, source: Source) -> None:
    expander = Expander()
    try:
        expanded = instruction.expanded(lambda text: expander.word(text, state.variables.values))
        if isinstance(expanded, Workdir):
            state.settings["WorkingDir"] = working_dir(state, expanded.text)
        else:
            configure(state, expanded, lambda text: expander.words(text, state.variables.values))
    except SyntaxProblem as problem:
        raise DockerfileError(str(problem)).located(source, instruction.range) from None
