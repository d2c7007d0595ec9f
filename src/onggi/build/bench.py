"""What all steps of one build share."""

from __future__ import annotations

from onggi.build.expansion import Expander

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.base_images import BaseImages
    from onggi.build.cache import BuildCache
    from onggi.build.executor import Executor
    from onggi.build.options import BuildOptions
    from onggi.build.progress import Reporter
    from onggi.build.secrets import SecretStore
    from onggi.build.sources import Folder, Sources, Stack
    from onggi.build.stages import Graph
    from onggi.build.state import StageState
    from onggi.store.store import Store


class Bench:
    """The tools of one build; `finished` holds the stages that are done, by number.

    `epoch` is SOURCE_DATE_EPOCH, None when nobody set it.
    """

    __slots__ = (
        "cache",
        "epoch",
        "executor",
        "expander",
        "finished",
        "graph",
        "images",
        "options",
        "reporter",
        "secrets",
        "sources",
        "store",
    )

    def __init__(
        self,
        *,
        store: Store,
        options: BuildOptions,
        graph: Graph,
        images: BaseImages,
        cache: BuildCache,
        sources: Sources,
        secrets: SecretStore,
        executor: Executor,
        reporter: Reporter,
        epoch: int | None,
    ) -> None:
        self.store = store
        self.options = options
        self.graph = graph
        self.images = images
        self.cache = cache
        self.sources = sources
        self.secrets = secrets
        self.executor = executor
        self.reporter = reporter
        self.epoch = epoch
        self.expander = Expander(graph.escape)
        self.finished: dict[int, StageState] = {}

    @property
    def time_ns(self) -> int | None:
        """The time of everything that is copied, None for each its own."""
        return None if self.epoch is None else self.epoch * 1_000_000_000

    def epoch_text(self) -> str:
        """What of the epoch counts for cache keys."""
        return "" if self.epoch is None else str(self.epoch)

    def stack(self, name: str) -> Stack | Folder | None:
        """Return what ``--from`` or a mount's ``from`` names; None for the context.

        Raises: BuildError: it is an image that is not here.
        """
        from onggi.build.sources import Folder, Stack

        if not name:
            return None
        other = self.options.contexts.get(name.lower())
        if other is not None and other.path:
            return Folder(other.path)
        if other is not None:
            return Stack(self.images.get(other.image).diff_ids)
        stage = self.graph.find(name)
        if stage is not None:
            return Stack([layer.diff_id for layer in self.finished[stage.index].layers])
        if name == "scratch":
            return Stack(())
        return Stack(self.images.get(name).diff_ids)
