"""What the store takes on the disk, each byte counted once, and what of it nobody uses.

Layers lie there once, however many images have them; what containers wrote, volumes and what
builds keep come on top. Sizes are of unpacked files: the archives of layers, which are kept to be
exported as they are, are not counted.

Source: Docker Engine API v1.50, SystemDataUsageResponse.
"""

from __future__ import annotations

import os

from onggi.image.images import open_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.engine import Engine
    from onggi.oci.digest import Digest
    from onggi.store.store import Store

    Json = dict[str, Any]


def usage(engine: Engine) -> Json:
    """Return the images, containers, volumes and caches there are, with their sizes in bytes.

    `LayersSize` counts the layers of all images, each once; a `SharedSize` is what another image
    has as well.
    """
    store = engine.store
    return {
        "LayersSize": sum(map(store.layers.size, _layers_of_images(store))),
        "Images": engine.images.list(),
        "Containers": [one.summary(size=True) for one in engine.containers.list(all=True)],
        "Volumes": _volumes(engine),
        "BuildCache": _build_cache(store),
    }


def _layers_of_images(store: Store) -> set[Digest]:
    entries = [descriptor for _, descriptor in store.references.list()]
    return {diff_id for entry in entries for diff_id in open_image(store, entry).diff_ids}


def _volumes(engine: Engine) -> list[Json]:
    from onggi.store.trees import size

    users = engine.volumes.users()
    place = engine.store.volumes.path
    return [
        {
            **one.inspect(),
            "UsageData": {"Size": size(place(one.name)), "RefCount": users.get(one.name, 0)},
        }
        for one in engine.volumes.list()
    ]


def _build_cache(store: Store) -> list[Json]:
    """Return the layers that only builds keep, and what RUN steps keep in their caches."""
    from onggi.store.trees import size

    spare = set(store.layers.list()) - _layers_of_images(store) - _layers_of_containers(store)
    layers = [_record(str(one), "regular", store.layers.size(one)) for one in sorted(spare)]
    place = f"{store.root}/cache/build/mounts"
    mounts = size(place) if os.path.exists(place) else 0
    return [*layers, *([_record("mounts", "exec.cachemount", mounts)] if mounts else [])]


def _layers_of_containers(store: Store) -> set[Digest]:
    chains = (store.snapshots.load(record["id"]).chain for record in store.containers.list())
    return {diff_id for chain in chains for diff_id in chain}


def _record(identity: str, kind: str, size: int) -> Json:
    return {"ID": identity, "Type": kind, "InUse": False, "Shared": False, "Size": size}
