"""What a monitor does for the engine once a container has ended and been cleaned up."""

from __future__ import annotations


def remove(root: str, identifier: str) -> None:
    """Remove the container `identifier` of the store at `root`, which was run with `--rm`.

    Gone already is fine.
    """
    from onggi.engine.container import Container
    from onggi.engine.engine import Engine
    from onggi.store.records import ContainerNotFound

    with Engine(root, recover=False) as engine:
        try:
            record = engine.store.containers.load(identifier)
        except ContainerNotFound:
            return
        Container(engine, record).remove(volumes=True)
