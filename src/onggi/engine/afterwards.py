"""What a monitor does for the engine once a container has ended: see runtime/after.py."""

from __future__ import annotations

from onggi.engine import removal
from onggi.store.records import ContainerNotFound
from onggi.store.store import Store


def remove(root: str, identifier: str) -> None:
    """Remove the container `identifier` of the store at `root`, which was run with `--rm`.

    Its lock is the caller's. Gone already is fine.
    """
    with Store(root) as store:
        try:
            removal.carry_out(store, store.containers.load(identifier), volumes=True)
        except ContainerNotFound:
            return
