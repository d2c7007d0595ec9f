"""Carrying out a build: stage by stage, step by step, each from the cache if it can be.

Three kinds of instruction: those that only change the configuration, ARG, and those that make a
layer (COPY, ADD, RUN, WORKDIR), which are the steps that are looked up, counted and shown.
"""

from __future__ import annotations

import os

from onggi.build.configuring import configure, working_dir
from onggi.build.errors import BuildError, DockerfileError, SyntaxProblem
from onggi.build.instructions import Arg, Instruction, Maintainer, Run, Transfer, Workdir
from onggi.build.keys import StepInputs, explain
from onggi.build.progress import (
    StepCached,
    StepDone,
    StepFailed,
    StepNotCached,
    Warned,
)
from onggi.build.stages import SCRATCH
from onggi.build.state import StageState
from onggi.errors import OnggiError
from onggi.oci.platform import host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from onggi.build.bench import Bench
    from onggi.build.cache import StepResult
    from onggi.build.new_layer import NewLayer
    from onggi.build.stages import Stage

    class Step(Protocol):
        """What makes a layer."""

        @property
        def title(self) -> str: ...

        @property
        def created_by(self) -> str: ...

        def inputs(self) -> StepInputs: ...

        def chain(self) -> tuple[str, ...]: ...

        def carry_out(self, layer: NewLayer, number: int) -> None: ...


def solve(bench: Bench) -> StageState:
    """Carry out all stages that the target needs; return what the target has become.

    Raises: BuildError: with its place in the Dockerfile.
    """
    for stage in bench.graph.needed:
        bench.finished[stage.index] = _StageSolver(bench, stage).solve()
    return bench.finished[bench.graph.target.index]


class _StageSolver:
    """One stage."""

    def __init__(self, bench: Bench, stage: Stage) -> None:
        self._bench = bench
        self._stage = stage
        self._state = self._begin()
        self._made = sum(1 for each in stage.instructions if _makes_layer(each)) + 1
        self._at = 1

    def _begin(self) -> StageState:
        stage = self._stage
        if stage.base is not None:
            return self._bench.finished[stage.base.index].copy()
        if stage.image == SCRATCH:
            return StageState.of_nothing(host())
        return StageState.of_image(self._bench.images.get(stage.image))

    def solve(self) -> StageState:
        """Carry out all instructions."""
        reporter = self._bench.reporter
        number = reporter.start(self._title(f"FROM {self._stage.image or self._base_name()}"))
        reporter.tell(StepDone(number))
        for instruction in self._stage.instructions:
            try:
                self._carry_out(instruction)
            except SyntaxProblem as problem:
                raise self._located(DockerfileError(str(problem)), instruction) from None
            except BuildError as error:
                raise self._located(error, instruction) from error.__cause__
            except OnggiError as error:
                raise self._located(
                    BuildError(error.message, hint=error.hint), instruction
                ) from error
            except OSError as error:
                raise self._located(BuildError(_in_words(error)), instruction) from error
        return self._state

    def _base_name(self) -> str:
        return self._stage.base.name if self._stage.base else ""

    def _located(self, error: BuildError, instruction: Instruction) -> BuildError:
        return error.located(self._bench.graph.source, instruction.range)

    def _title(self, text: str) -> str:
        """Say where in the build something happens: ``[name 2/5] RUN make``."""
        name = self._stage.head.stage_name
        single = len(self._bench.graph.stages) == 1
        where = "" if single and not name else f"{self._stage.name} "
        return f"[{where}{self._at}/{self._made}] {text}"

    def _expand(self, text: str) -> str:
        return self._bench.expander.word(text, self._state.variables.values)

    def _words(self, text: str) -> list[str]:
        return self._bench.expander.words(text, self._state.variables.values)

    def _carry_out(self, instruction: Instruction) -> None:
        if isinstance(instruction, Arg):
            said = self._state.variables.declare(
                instruction,
                self._bench.options.build_args,
                self._bench.graph.outer,
                self._bench.expander,
            )
            self._state.note(f"ARG {' '.join(said)}")
            return
        expanded = instruction.expanded(self._expand)
        if isinstance(expanded, Maintainer):
            text = "MAINTAINER is deprecated; use LABEL org.opencontainers.image.authors"
            self._bench.reporter.tell(Warned(text))
        if _makes_layer(expanded):
            self._at += 1
            self._step(self._make_step(expanded))
        elif isinstance(expanded, Workdir):
            self._enter(expanded)
            self._state.note("WORKDIR /")
        else:
            configure(self._state, expanded, self._words)

    def _enter(self, instruction: Workdir) -> None:
        self._state.settings["WorkingDir"] = working_dir(self._state, instruction.text)

    def _make_step(self, instruction: Instruction) -> Step:
        if isinstance(instruction, Run):
            from onggi.build.running import RunStep

            return RunStep(self._bench, self._state, instruction)
        if isinstance(instruction, Transfer):
            from onggi.build.transfer import TransferStep

            return TransferStep(self._bench, self._state, instruction)
        from onggi.build.entering import WorkdirStep

        assert isinstance(instruction, Workdir)
        self._enter(instruction)
        return WorkdirStep(self._bench, self._state, instruction)

    def _step(self, step: Step) -> None:
        number = self._bench.reporter.start(self._title(step.title))
        try:
            result = self._result(step, number)
        except BaseException as error:
            self._bench.reporter.tell(StepFailed(number, _said(error)))
            raise
        self._state.add(step.created_by, result)

    def _result(self, step: Step, number: int) -> StepResult:
        bench = self._bench
        inputs = step.inputs()
        key = inputs.key()
        slot = f"{self._stage.name} {self._at}"
        found = None if self._no_cache() else bench.cache.find(key)
        if found is not None:
            bench.cache.took(slot, key)
            bench.reporter.tell(StepCached(number))
            return found
        bench.reporter.tell(StepNotCached(number, self._why(slot, inputs)))
        bench.cache.begin(slot, inputs)
        result = self._make(step, number)
        bench.cache.keep(key, result)
        bench.reporter.tell(StepDone(number))
        return result

    def _no_cache(self) -> str:
        """Name the option that wants this stage's steps run anew, empty if there is none."""
        options = self._bench.options
        if options.no_cache:
            return "--no-cache"
        names = {self._stage.name, str(self._stage.index)}
        return "" if options.no_cache_stages.isdisjoint(names) else "--no-cache-filter"

    def _why(self, slot: str, inputs: StepInputs) -> str:
        cache = self._bench.cache
        if reason := self._no_cache():
            return reason
        return explain(cache.before(slot), inputs, was_made=cache.was_made(inputs.key()))

    def _make(self, step: Step, number: int) -> StepResult:
        from onggi.build.new_layer import NewLayer
        from onggi.oci.digest import Digest

        chain = [Digest(diff_id) for diff_id in step.chain()]
        with NewLayer(self._bench.store, chain) as layer:
            step.carry_out(layer, number)
            return layer.commit(self._bench.epoch)


def _makes_layer(instruction: Instruction) -> bool:
    """Whether an instruction is a step; WORKDIR / is none, for that exists."""
    if isinstance(instruction, Workdir):
        return instruction.text != "/"
    return isinstance(instruction, Run | Transfer)


def _said(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return _in_words(error) if isinstance(error, OSError) else str(error) or type(error).__name__


def _in_words(error: OSError) -> str:
    """Say what the kernel said, and of what."""
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    return ": ".join(filter(None, (place, (error.strerror or str(error)).lower())))
