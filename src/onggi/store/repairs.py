"""Repairs: attributes of directories that a layer implies but does not state.

An archive may hold `usr/bin/tool` without entries for `usr` and `usr/bin`. Applied on top of other
layers, as image-spec wants it, that leaves the directories as they were. Unpacked alone, as layers
are here, it makes directories with attributes that nobody stated, and overlayfs would show those.
So a chain in which that matters gets one more tree on top, with just these directories, and the
attributes of the highest layer that states them.

A repair belongs to a chain and is made once: `repairs/<SHA-256 of the diff IDs>/`, with `fs/` in it
unless there was nothing to repair, and `chain`, the diff IDs.

Source: image-spec layer.md, "Applying Changesets".
"""

from __future__ import annotations

import os

from onggi.oci.fingerprint import sha256_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from onggi.oci.digest import Digest
    from onggi.store.layers import Layers
    from onggi.store.merge import Stack
    from onggi.store.workshop import Workshop


def chain_hex(diff_ids: Sequence[Digest]) -> str:
    """Name a chain of layers."""
    return sha256_hex("\n".join(diff_ids).encode())


def require_repair(
    root: str, workshop: Workshop, layers: Layers, diff_ids: Sequence[Digest]
) -> str:
    """Make sure the chain's repair exists; return its name, "" if nothing needs repair."""
    name = chain_hex(diff_ids)
    place = f"{root}/repairs/{name}"
    if not os.path.exists(place):
        _make(place, workshop, layers, diff_ids)
    return name if os.path.exists(f"{place}/fs") else ""


def _make(place: str, workshop: Workshop, layers: Layers, diff_ids: Sequence[Digest]) -> None:
    from onggi.store.atomic import write_new
    from onggi.store.merge import Stack

    half_made = workshop.new_directory(0o755)
    try:
        highest_first = list(reversed(diff_ids))
        implied = [layers.implied(diff_id) for diff_id in highest_first]
        with Stack([layers.path(diff_id) for diff_id in highest_first]) as stack:
            plan = plan_repair(stack, implied)
            if plan:
                _build(f"{half_made}/fs", stack, plan)
        write_new(f"{half_made}/chain", "\n".join(diff_ids).encode(), durable=False)
        layers.sync(half_made)
        _rename_unless_there(half_made, place)
    finally:
        workshop.remove(half_made)


def plan_repair(stack: Stack, implied: Sequence[frozenset[bytes]]) -> dict[bytes, int]:
    """Decide which directories to repair.

    Args:
        stack: the layers, highest first.
        implied: for each of them, the directories that it does not state.

    Returns: path -> the tree whose attributes the directory shall have, for each directory that
        needs it and each on the way to one; empty if overlayfs shows the right ones by itself.
    """
    wrong: dict[bytes, int] = {}
    right: dict[bytes, int] = {}
    for path in sorted(frozenset().union(*implied)):
        trees = _where(stack, path)
        stating = next((tree for tree in trees if path not in implied[tree]), None)
        if stating is not None and stating != trees[0]:
            wrong[path] = stating
    for path in wrong:
        for parent in _parents(path):
            trees = _where(stack, parent)
            stated = (tree for tree in trees if parent not in implied[tree])
            right[parent] = next(stated, trees[0])
    return {**right, **wrong}


def _where(stack: Stack, path: bytes) -> tuple[int, ...]:
    """Find the trees in which directory `path` is to be seen; none if it is not a directory."""
    trees: tuple[int, ...] = tuple(range(len(stack.roots)))
    reached = b""
    for name in path.split(b"/"):
        with stack.open(reached, trees) as view:
            found = view.find(name)
        trees = found.trees if found else ()
        reached = reached + b"/" + name if reached else name
    return trees


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:length]) for length in range(1, len(parts))]


def _build(place: str, stack: Stack, plan: dict[bytes, int]) -> None:
    """Make the planned directories; parents sort before what they hold."""
    from onggi.store.attributes import copy_attributes

    os.mkdir(place, 0o755)
    made = [os.path.join(os.fsencode(place), path) for path in sorted(plan)]
    for directory in made:
        os.mkdir(directory, 0o700)
    # What is below comes first, because making it changed the time of what is above.
    for path, directory in sorted(zip(sorted(plan), made, strict=True), reverse=True):
        with stack.open(path, (plan[path],)) as view:
            copy_attributes(view.fd, directory)


def _rename_unless_there(half_made: str, place: str) -> None:
    try:
        os.rename(half_made, place)
    except OSError:
        if not os.path.exists(place):
            raise
