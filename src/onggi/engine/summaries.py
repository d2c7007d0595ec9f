"""One line of `ps` for a container, in the Docker Engine API's shape.

Source: Docker Engine API v1.50, ContainerSummary; moby daemon/container/state.go, String;
daemon/container/view.go, transform (how a command is written).
"""

from __future__ import annotations

import time

from onggi.engine.container import PAUSED
from onggi.engine.durations import duration
from onggi.runtime import state as states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.container import Container
    from onggi.runtime.state import State

_NS = 1_000_000_000


def container(shown: Container, *, size: bool = False) -> dict[str, Any]:
    """Return what `ps` shows of a container; `size` adds what it wrote and what lies below."""
    record, current = shown.record, shown.state
    paused = shown.is_paused(current)
    network = record["options"]["network"]
    summary = {
        "Id": shown.id,
        "Names": [f"/{shown.name}"],
        "Image": image(shown),
        "ImageID": record["image_id"],
        "Command": command(record["config"]["process"]["args"]),
        "Created": record["created_ns"] // _NS,
        "Ports": [],
        "Labels": record["labels"],
        "State": PAUSED if paused else current.status,
        "Status": status(current, time.time_ns()) + " (Paused)" * paused,
        "HostConfig": {"NetworkMode": network},
        "NetworkSettings": {"Networks": {network: {}}},
        "Mounts": record["mounts"],
    }
    return {**summary, **sizes(shown)} if size else summary


def image(shown: Container) -> str:
    """Return the name that the image was asked for by, or its ID if the name means another now.

    Source: moby daemon/list.go, newContainer.
    """
    from onggi.errors import OnggiError
    from onggi.image.images import find, open_image

    try:
        descriptor = find(shown.store, shown.image)[1]
        if str(descriptor.digest) == shown.record["manifest"]:
            return shown.image
        found = str(open_image(shown.store, descriptor).id)
    except OnggiError:
        found = ""
    return shown.image if found == shown.record["image_id"] else str(shown.record["image_id"])


def sizes(shown: Container) -> dict[str, int]:
    """Return the bytes that a container wrote, and those with what lies below."""
    written = shown.size()
    chain = shown.store.snapshots.load(shown.id).chain
    below = sum(shown.store.layers.size(diff_id) for diff_id in chain)
    return {"SizeRw": written, "SizeRootFs": written + below}


def status(current: State, now_ns: int) -> str:
    """Return a container's state in a few words: `Up 3 minutes`, `Exited (0) 2 hours ago`."""
    if current.status == states.RUNNING:
        return f"Up {duration((now_ns - current.started_ns) / _NS)}"
    if current.status == states.EXITED:
        ago = duration((now_ns - current.finished_ns) / _NS)
        return f"Exited ({current.exit_code}) {ago} ago"
    return "Created"


def command(words: list[str]) -> str:
    """Return a command on one line; an argument with a space in it stands in quotes."""
    program, *arguments = words
    quoted = (f"'{word}'" if " " in word else word for word in arguments)
    return " ".join((program, *quoted))
