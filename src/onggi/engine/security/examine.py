"""What a container could do: everything that is known of it, looked at from every side.

report = engine.containers.get("web").security()
report = engine.security(ContainerOptions(image="busybox", read_only=True))
report.is_at_least("high")
"""

from __future__ import annotations

from onggi.engine.security import (
    bounds,
    calls,
    capabilities,
    devices,
    kernel_files,
    mounts,
    namespaces,
    observed,
    planned,
    rights,
    secrets,
    set_id,
)
from onggi.engine.security.findings import Report, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.container import Container
    from onggi.engine.engine import Engine
    from onggi.engine.options import ContainerOptions
    from onggi.engine.security.facts import Facts

_AREAS = (
    rights,
    capabilities,
    calls,
    kernel_files,
    namespaces,
    devices,
    mounts,
    set_id,
    bounds,
    secrets,
)


def container(engine: Engine, shown: Container) -> Report:
    """Report on a container: as the kernel sees it while it runs, as its record says otherwise."""
    current = shown.state
    facts = _facts(engine, shown)
    return Report(
        kind="container",
        name=shown.name,
        id=shown.id,
        image=shown.image,
        status=current.status,
        pid=facts.pid,
        sections=_sections(facts),
    )


def _facts(engine: Engine, shown: Container) -> Facts:
    current = shown.state
    if current.is_alive():
        try:
            facts = observed.facts(engine, shown, current.pid)
        except (FileNotFoundError, ProcessLookupError):
            if current.is_alive():
                raise
        else:
            if current.is_alive():  # else the number may have been somebody else's
                return facts
    return planned.facts(engine, shown.record, shown.trees())


def image(engine: Engine, options: ContainerOptions) -> Report:
    """Report on what a container would be, were it made of an image with these options.

    Raises: as for making it: ImageNotFound, InvalidInput, Unsupported
    """
    from onggi.engine import creation

    record, _ = creation.describe(engine.store, options, engine.host)
    found = creation.find_image(engine.store, options.image)
    trees = engine.store.snapshots.lower_stack(found.diff_ids)
    return Report(
        kind="image",
        name=options.image,
        id=str(found.id),
        image=options.image,
        status="",
        pid=0,
        sections=_sections(planned.facts(engine, record, trees)),
    )


def _sections(facts: Facts) -> list[Section]:
    return [area.examine(facts) for area in _AREAS]
