"""How an image came about, line by line: what `docker history` shows.

Source: moby daemon/images/image_history.go; docker/cli docs/reference/commandline/image_history.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from onggi.errors import Corrupt
from onggi.image.images import Image
from onggi.oci.digest import Digest
from onggi.oci.image import History
from onggi.store.store import Store


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """One line, a layer's or that of a change without a layer.

    `id` is None for all but the newest line: `<missing>`, as no image of that state is kept.
    """

    id: Digest | None
    created: str
    created_by: str
    size: int
    comment: str


def rows(store: Store, image: Image) -> list[HistoryRow]:
    """List the lines, the newest first.

    Layers that the history does not tell of come last, without a word.

    Raises: Corrupt: the history tells of more layers than there are.
    """
    lines = []
    diff_ids = list(image.diff_ids)
    for entry in image.config.history:
        size = 0 if entry.empty_layer else store.layers.size(_next(diff_ids))
        lines.append((entry, size))
    untold = [(History(), store.layers.size(diff_id)) for diff_id in diff_ids]
    newest_first = [*reversed(lines), *reversed(untold)]
    return [
        _row(entry, size, image.id if number == 0 else None)
        for number, (entry, size) in enumerate(newest_first)
    ]


def _next(diff_ids: list[Digest]) -> Digest:
    if not diff_ids:
        raise Corrupt("image config: history tells of more layers than there are")
    return diff_ids.pop(0)


def _row(entry: History, size: int, image: Digest | None) -> HistoryRow:
    return HistoryRow(
        id=image,
        created=entry.created,
        created_by=entry.created_by,
        size=size,
        comment=entry.comment,
    )
