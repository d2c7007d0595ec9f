"""Building an image: from options to an image in the store.

Facts about the result:
- With SOURCE_DATE_EPOCH (a build argument, or our environment) the same inputs give the same
  digest: files are no younger, what is copied has that time, and so has the history.
- Without it, a build that is wholly cached gives the image that it gave before: its times are
  those at which its layers were made.

Source: https://reproducible-builds.org/specs/source-date-epoch/; buildkit, exporter/containerimage
(normalizeLayersAndHistory, for the times of lines of history that made no layer).
"""

from __future__ import annotations

import os

from onggi.build.base_images import BaseImages
from onggi.build.bench import Bench
from onggi.build.cache import BuildCache
from onggi.build.content import ContentDigests
from onggi.build.context import Inputs, read_inputs
from onggi.build.delivery import deliver
from onggi.build.progress import Event, Exported, Quiet, Reporter, Warned
from onggi.build.secrets import SecretStore
from onggi.build.solver import solve
from onggi.build.sources import Sources
from onggi.build.stages import make_graph
from onggi.build.variables import OWN_NAMES
from onggi.errors import InvalidInput
from onggi.image.assembly import assemble
from onggi.image.images import Image
from onggi.oci.image import History
from onggi.oci.platform import Platform, host
from onggi.oci.reference import Reference, parse_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from onggi.build.executor import Executor
    from onggi.build.options import BuildOptions
    from onggi.build.stages import Graph
    from onggi.build.state import StageState
    from onggi.oci.digest import Digest
    from onggi.store.store import Store

_EPOCH = "SOURCE_DATE_EPOCH"


class BuildResult:
    """What a build made: the image, and the names it was given."""

    __slots__ = ("image", "references")

    def __init__(self, image: Image, references: tuple[Reference, ...]) -> None:
        self.image = image
        self.references = references

    @property
    def image_id(self) -> Digest:
        """The image's ID, as `--iidfile` and `--quiet` give it."""
        return self.image.id


def build(
    store: Store,
    options: BuildOptions,
    executor: Executor,
    show: Callable[[Event], None] | None = None,
) -> BuildResult:
    """Build an image and put it into the store, under its tags if it has any.

    Success means that image and layers are there and every tag means this image. A failure leaves
    the cache of the steps before it, and nothing else.

    Raises: InvalidInput: the options make no sense. BuildError: with the place to blame.
    """
    references = tuple(parse_tag(tag) for tag in options.tags)
    _require_own_platform(options.platform)
    secrets = SecretStore(options.secrets)
    secrets.require_files()
    with store.lease():
        inputs = read_inputs(options, store.workshop)
        reporter = Reporter(show or Quiet())
        try:
            image = _build(store, options, inputs, secrets, executor, reporter)
        finally:
            inputs.close()
        references = deliver(store, image, references, options.outputs)
    names = [str(reference) for reference in references]
    places = [output.path for output in options.outputs if output.path]
    reporter.tell(Exported(image.id, names, places))
    return BuildResult(image, references)


def _require_own_platform(asked: str) -> None:
    own = host()
    if asked and Platform.parse(asked) != own:
        raise InvalidInput(f"cannot build for {asked} here", hint=f"this machine is {own}")


def _build(
    store: Store,
    options: BuildOptions,
    inputs: Inputs,
    secrets: SecretStore,
    executor: Executor,
    reporter: Reporter,
) -> Image:
    images = BaseImages(store, host())
    graph = make_graph(
        inputs.source,
        target=options.target,
        build_args=options.build_args,
        platform=host(),
        triggers=images.triggers,
        contexts=options.contexts,
    )
    _warn(graph, options, reporter)
    cache = BuildCache(store, inputs.identity)
    digests = ContentDigests.load(cache.path("contexts", inputs.context_id), inputs.context)
    bench = Bench(
        store=store,
        options=options,
        graph=graph,
        images=images,
        cache=cache,
        sources=Sources(store, inputs.context, inputs.ignore, digests),
        secrets=secrets,
        executor=executor,
        reporter=reporter,
        epoch=_epoch(options),
    )
    try:
        state = solve(bench)
    finally:
        bench.sources.close()
        bench.secrets.close()
        digests.save()
        cache.close()
    return _assemble(state, bench)


def _warn(graph: Graph, options: BuildOptions, reporter: Reporter) -> None:
    for text in graph.warnings:
        reporter.tell(Warned(text))
    for name in sorted(options.no_cache_stages):
        if graph.find(name) is None:
            reporter.tell(Warned(f"--no-cache-filter: there is no stage {name}"))
    unused = sorted(set(options.build_args) - graph.used_arguments() - OWN_NAMES)
    if unused:
        reporter.tell(Warned(f"one or more build args were not consumed: {', '.join(unused)}"))


def _epoch(options: BuildOptions) -> int | None:
    text = options.build_args.get(_EPOCH, os.environ.get(_EPOCH, ""))
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise InvalidInput(f"invalid {_EPOCH} {text!r}", hint="seconds since 1970")
    return int(text)


def _assemble(state: StageState, bench: Bench) -> Image:
    """Make the image's documents of what the target has become."""
    settings = dict(state.settings)
    if bench.options.labels:
        settings["Labels"] = {**state.mapping("Labels"), **bench.options.labels}
    history, created = _dated(state, bench)
    config = state.base.with_fields(
        {
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": list(state.chain)},
            "history": [entry.to_json() for entry in history],
            "author": state.author or None,
            "created": created,
        }
    )
    image = assemble(config, state.layers)
    if not bench.options.annotations:
        return image
    return Image(image.manifest.with_annotations(bench.options.annotations), config)


def _dated(state: StageState, bench: Bench) -> tuple[list[History], str]:
    """Give every line of history a time; return the newest too.

    A line that made no layer has the time of the layer before it, or of the first after it.
    """
    before = list(state.base.history)
    times = [entry.created for entry in state.history if entry.created]
    latest = times[0] if times else _first_time(state, bench)
    for entry in state.history:
        latest = entry.created = entry.created or latest
    return [*before, *state.history], latest


def _first_time(state: StageState, bench: Bench) -> str:
    """Return the time of an image to which no layer was added: that of its base."""
    import time

    from onggi.image.moments import rfc3339

    if bench.epoch is not None:
        return rfc3339(bench.epoch)
    return state.base.created or rfc3339(int(time.time()))
