"""The graph of a build: stages, what each stands on and takes from, and which the target needs.

Pure but for one question asked of the caller: what image a name stands for, since an image may
bring ONBUILD instructions along, and those may need further stages.

Source: buildkit, frontend/dockerfile/dockerfile2llb/convert.go (toDispatchState).
"""

from __future__ import annotations

from onggi.build.errors import BuildError, DockerfileError, SyntaxProblem
from onggi.build.expansion import Expander
from onggi.build.instructions import Arg, From, Instruction, Onbuild, Run, Transfer
from onggi.build.lexer import Syntax, parse
from onggi.build.run_mounts import stages_of_mounts
from onggi.build.source import Range, Source
from onggi.build.understanding import understand
from onggi.build.variables import global_arguments, platform_arguments
from onggi.errors import OnggiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from onggi.build.options import Context
    from onggi.oci.platform import Platform

    Triggers = Callable[[str], tuple[str, ...]]

SCRATCH = "scratch"


class Stage:
    """One FROM and what follows it.

    Attributes:
        base: the stage it stands on, or None. image: the image it stands on, `scratch` for
            nothing, empty when it stands on a stage.
        instructions: with those of the base image's ONBUILD first, once the graph is complete.
        needs: the stages that it takes files from, beside its base.
    """

    __slots__ = ("base", "head", "image", "index", "instructions", "needs")

    def __init__(self, index: int, head: From) -> None:
        self.index = index
        self.head = head
        self.base: Stage | None = None
        self.image = ""
        self.instructions: list[Instruction] = []
        self.needs: list[Stage] = []

    @property
    def name(self) -> str:
        """Its name, or its number if it has none."""
        return self.head.stage_name or f"stage-{self.index}"


class Graph:
    """A whole Dockerfile, understood.

    Attributes:
        contexts: what names mean instead. outer: the global arguments. target: the stage to build.
        needed: the stages that the target needs, itself last, each after those it needs.
    """

    __slots__ = ("contexts", "escape", "needed", "outer", "source", "stages", "target", "warnings")

    def __init__(self, syntax: Syntax) -> None:
        self.source = syntax.source
        self.escape = syntax.escape
        self.warnings = list(syntax.warnings)
        self.contexts: dict[str, Context] = {}
        self.outer: dict[str, str] = {}
        self.stages: list[Stage] = []
        self.needed: list[Stage] = []
        self.target: Stage

    def find(self, name: str) -> Stage | None:
        """Find a stage by its name, in any case, or by its number."""
        for stage in reversed(self.stages):
            if stage.head.stage_name and stage.head.stage_name == name.lower():
                return stage
        if name.isascii() and name.isdigit() and int(name) < len(self.stages):
            return self.stages[int(name)]
        return None

    def used_arguments(self) -> set[str]:
        """Name every argument that some ARG declares."""
        declared = set(self.outer)
        for stage in self.stages:
            for instruction in stage.instructions:
                if isinstance(instruction, Arg):
                    declared.update(name for name, _ in instruction.arguments)
        return declared


def make_graph(
    source: Source,
    *,
    target: str,
    build_args: Mapping[str, str],
    platform: Platform,
    triggers: Triggers,
    contexts: Mapping[str, Context] | None = None,
) -> Graph:
    """Read a Dockerfile and find out what its target needs.

    `triggers` tells the ONBUILD instructions of an image; it is asked for needed images only.

    Raises: DockerfileError: with its place. Whatever `triggers` raises, with its place.
    """
    syntax = parse(source)
    graph = Graph(syntax)
    graph.contexts = dict(contexts or {})
    heads = _split(graph, syntax)
    graph.outer = _outer(graph, heads, build_args, platform_arguments(platform, target))
    for stage in graph.stages:
        _settle_base(graph, stage, platform)
    graph.target = _find_target(graph, target)
    _Needs(graph, triggers).visit(graph.target)
    return graph


def _split(graph: Graph, syntax: Syntax) -> list[Arg]:
    """Cut the statements into stages; return the ARGs before the first."""
    heads: list[Arg] = []
    for statement in syntax.statements:
        instruction = understand(statement, graph.source)
        if isinstance(instruction, From):
            graph.stages.append(Stage(len(graph.stages), instruction))
        elif graph.stages:
            graph.stages[-1].instructions.append(instruction)
        elif isinstance(instruction, Arg):
            heads.append(instruction)
        else:
            raise _at(graph, instruction.range, "no build stage in current context")
    if not graph.stages:
        raise _at(graph, Range(1, 1), "dockerfile contains no stages to build")
    return heads


def _at(graph: Graph, lines: Range, text: str) -> BuildError:
    return DockerfileError(text).located(graph.source, lines)


def _outer(
    graph: Graph, heads: list[Arg], build_args: Mapping[str, str], known: dict[str, str]
) -> dict[str, str]:
    expander = Expander(graph.escape)
    for head in heads:
        try:
            known = global_arguments([head], build_args, known, expander)
        except SyntaxProblem as problem:
            raise _at(graph, head.range, str(problem)) from None
    return known


def _settle_base(graph: Graph, stage: Stage, platform: Platform) -> None:
    expander = Expander(graph.escape)
    try:
        base = expander.word(stage.head.image, graph.outer)
        wanted = expander.word(stage.head.platform, graph.outer)
    except SyntaxProblem as problem:
        raise _at(graph, stage.head.range, str(problem)) from None
    if not base:
        raise _at(graph, stage.head.range, f"base name ({stage.head.image}) should not be blank")
    if wanted:
        _require_platform(graph, stage, wanted, platform)
    other = graph.contexts.get(base.lower())
    if other is not None:
        stage.image = _image_of(graph, stage, base, other)
        return
    for earlier in reversed(graph.stages[: stage.index]):
        if earlier.head.stage_name and earlier.head.stage_name == base.lower():
            stage.base = earlier
            return
    stage.image = base


def _image_of(graph: Graph, stage: Stage, name: str, other: Context) -> str:
    if not other.image:
        text = f"build context {name} is a directory, so nothing can stand on it"
        raise _at(graph, stage.head.range, text)
    return other.image


def _require_platform(graph: Graph, stage: Stage, wanted: str, platform: Platform) -> None:
    from onggi.oci.platform import Platform as PlatformName

    try:
        asked = PlatformName.parse(wanted)
    except OnggiError as error:
        raise _at(graph, stage.head.range, str(error)) from error
    if asked != platform:
        raise _at(
            graph, stage.head.range, f"cannot build for {asked} here: this machine is {platform}"
        )


def _find_target(graph: Graph, target: str) -> Stage:
    if not target:
        return graph.stages[-1]
    stage = graph.find(target)
    if stage is None:
        names = ", ".join(stage.name for stage in graph.stages)
        raise DockerfileError(f'target stage "{target}" could not be found', hint=f"one of {names}")
    return stage


def _said_onbuild(stage: Stage) -> list[str]:
    """Return what a stage's own ONBUILD instructions hold for those that stand on it."""
    return [each.text for each in stage.instructions if isinstance(each, Onbuild)]


class _Needs:
    """A walk from the target to all that it needs."""

    def __init__(self, graph: Graph, triggers: Triggers) -> None:
        self.graph = graph
        self.triggers = triggers
        self.seen: set[int] = set()

    def visit(self, stage: Stage) -> None:
        if stage.index in self.seen:
            return
        self.seen.add(stage.index)
        if stage.base is not None:
            self.visit(stage.base)
            stage.instructions[:0] = self._triggers_of(stage, _said_onbuild(stage.base))
        elif stage.image != SCRATCH:
            stage.instructions[:0] = self._triggered(stage)
        for instruction in stage.instructions:
            for needed in self._stages_of(stage, instruction):
                stage.needs.append(needed)
                self.visit(needed)
        self.graph.needed.append(stage)

    def _triggered(self, stage: Stage) -> Iterable[Instruction]:
        """Read the ONBUILD instructions of the image that a stage stands on."""
        try:
            texts = self.triggers(stage.image)
        except BuildError as error:
            raise error.located(self.graph.source, stage.head.range) from error.__cause__
        return self._triggers_of(stage, texts)

    def _triggers_of(self, stage: Stage, texts: Iterable[str]) -> list[Instruction]:
        """Read ONBUILD instructions as if they stood at a stage's FROM line."""
        lines = stage.head.range
        try:
            return [self._trigger(text, lines) for text in texts]
        except BuildError as error:
            raise error.located(self.graph.source, lines) from error.__cause__

    def _trigger(self, text: str, lines: Range) -> Instruction:
        source = Source(f"ONBUILD {text}", text)
        statements = parse(source).statements
        if len(statements) != 1:
            raise DockerfileError("onbuild trigger should be a single expression")
        instruction = understand(statements[0], source)
        instruction.range = lines
        instruction.trigger = True
        return instruction

    def _stages_of(self, stage: Stage, instruction: Instruction) -> list[Stage]:
        found = []
        for name in self._names_in(instruction):
            needed = self.graph.find(name)
            if needed is None or name.lower() in self.graph.contexts:
                continue
            if needed.index >= stage.index:
                raise _at(
                    self.graph,
                    instruction.range,
                    f'cannot copy from stage "{name}", it needs to be defined before '
                    f'current stage "{stage.name}"',
                )
            found.append(needed)
        return found

    def _names_in(self, instruction: Instruction) -> list[str]:
        if isinstance(instruction, Transfer):
            return [instruction.source_stage] if instruction.source_stage else []
        if not isinstance(instruction, Run):
            return []
        try:
            return stages_of_mounts(instruction.mounts)
        except SyntaxProblem as problem:
            raise _at(self.graph, instruction.range, str(problem)) from None
