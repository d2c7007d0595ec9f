"""`onggi system prune`."""

from __future__ import annotations

from onggi.cli import asking, pruning
from onggi.cli.options import Command, Given, Section, Switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi import Engine
    from onggi.cli.invocation import Invocation

COMMAND = Command(
    description="Removes what nobody uses: containers that do not run, images without a name, and "
    "what builds keep. With -a also images with a name that no container has; with --volumes "
    "also the volumes that nobody gave a name. A filter spares what it does not let pass, and the "
    "build cache.",
    sections=(
        Section(
            "Options",
            Switch("all", "a", "Remove images with a name, too"),
            Switch("volumes", "", "Remove volumes without a name, too"),
            pruning.FILTER,
            asking.FORCE,
        ),
    ),
    examples=(("onggi system prune -af --volumes", "all but what runs, and named volumes"),),
)


def execute(given: Given, invocation: Invocation) -> int:
    """Remove what is not used, once the user means it, and say what that freed."""
    if not asking.means_it(given, _warning(given)):
        return 0
    conditions = pruning.conditions(given)
    engine = invocation.engine
    freed = _containers(engine, conditions)
    if given.on("volumes"):
        freed += _volumes(engine, conditions)
    freed += _images(engine, conditions, named=given.on("all"))
    if not conditions:
        freed += engine.images.prune_cache()
    pruning.tell_freed(freed)
    return 0


def _warning(given: Given) -> str:
    kinds = ["all containers that don't run"]
    kinds += ["all volumes without a name that no container has"] if given.on("volumes") else []
    kinds += ["all images that no container has" if given.on("all") else "images without a name"]
    kinds += [] if given.texts("filter") else ["the build cache"]
    return f"This removes {', '.join(kinds[:-1])} and {kinds[-1]}."


def _containers(engine: Engine, conditions: dict[str, list[str]]) -> int:
    removed = engine.containers.prune(conditions)
    pruning.tell("Containers", removed)
    return sum(removed.values())


def _volumes(engine: Engine, conditions: dict[str, list[str]]) -> int:
    labels = {key: values for key, values in conditions.items() if key != "until"}
    removed = engine.volumes.prune(labels)
    pruning.tell("Volumes", removed)
    return sum(removed.values())


def _images(engine: Engine, conditions: dict[str, list[str]], *, named: bool) -> int:
    done, freed = engine.images.prune({**conditions, **({"dangling": ["false"]} if named else {})})
    pruning.tell("Images", (f"{what.lower()}: {text}" for what, text in done))
    return freed
