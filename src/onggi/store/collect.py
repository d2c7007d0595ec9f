"""Garbage collection: what nothing names any more goes, while everybody works on.

What counts as named:

- the images in index.json, tagged or not;
- what a lease holds: what is being loaded, pulled or built at this moment;
- the layers of every snapshot, and what the records of containers mention;
- what the records of the build cache, `cache/*/steps/*.json`, mention;
- and, on from each of these, what a manifest, an index or a configuration mentions.

"Mentions" is meant literally: a digest anywhere in a document is followed. That keeps a little too
much now and then, and can never lose what some later kind of document refers to.

The collector looks and takes away under a lock that publishing waits for (see leases.py); it only
renames meanwhile, and removes afterwards.
"""

from __future__ import annotations

import os
import re

from onggi.oci.digest import Digest
from onggi.store import leases, workshop
from onggi.store.atomic import read_file, unlink_if_exists
from onggi.store.blobs import DOCUMENT_LIMIT
from onggi.store.records import RECORD
from onggi.store.repairs import chain_hex
from onggi.store.snapshots import SnapshotNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from onggi.store.store import Store

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}(?![0-9a-f])|sha512:[0-9a-f]{128}(?![0-9a-f])")


class Collected:
    """What a collection removed; `size` is in bytes, of blobs and of unpacked layers."""

    __slots__ = ("blobs", "layers", "size", "snapshots")

    def __init__(self) -> None:
        self.blobs: list[Digest] = []
        self.layers: list[Digest] = []
        self.snapshots: list[str] = []
        self.size = 0


def collect(store: Store, *, keep: Iterable[str] = ()) -> Collected:
    """Remove what nothing names, and what dead processes left.

    Any number of processes may use the store meanwhile. What has been published outside of any
    lease by a process that lives stays until that process closes its store.

    Args:
        store: the store.
        keep: digests that are to count as named.
    """
    workshop.sweep(f"{store.root}/tmp")
    collected = Collected()
    doomed = store.workshop.new_directory()
    try:
        with store.leases.collecting():
            _take_dead_snapshots(store, doomed, collected)
            kept = mentioned_by_all(store, keep)
            _take_layers(store, kept, doomed, collected)
            _take_repairs(store, doomed)
            _take_blobs(store, kept, collected)
        store.containers.sweep_names()
    finally:
        store.workshop.remove(doomed)
    return collected


def sweep_snapshots(store: Store) -> list[str]:
    """Remove snapshots that belong to no container and whose process is dead; return their keys.

    Cheap where there are none, and safe at any time: nobody can come back to one of these.
    """
    collected = Collected()
    doomed = store.workshop.new_directory()
    try:
        _take_dead_snapshots(store, doomed, collected)
    finally:
        store.workshop.remove(doomed)
    return collected.snapshots


def mentioned_by_all(store: Store, keep: Iterable[str] = ()) -> set[str]:
    """Return every digest that is named, directly or through documents."""
    found = set(keep) | leases.held(f"{store.root}/tmp")
    for path in _roots(store.root):
        found.update(_mentioned(_read(path)))
    pending = list(found)
    while pending:
        fresh = _mentioned(_document(store, Digest(pending.pop()))) - found
        found |= fresh
        pending += fresh
    return found


def _roots(root: str) -> Iterator[str]:
    """Yield the files whose mentions keep things."""
    yield f"{root}/index.json"
    for container in os.listdir(f"{root}/containers"):
        yield f"{root}/containers/{container}/snapshot"
        yield f"{root}/containers/{container}/{RECORD}"
    for owner in os.listdir(f"{root}/cache"):
        steps = f"{root}/cache/{owner}/steps"
        if os.path.isdir(steps):
            yield from (f"{steps}/{name}" for name in os.listdir(steps))


def _mentioned(text: bytes) -> set[str]:
    return {match.decode() for match in _DIGEST.findall(text)}


def _read(path: str) -> bytes:
    try:
        return read_file(path)
    except FileNotFoundError:
        return b""  # there is none, or it went away meanwhile


def _document(store: Store, digest: Digest) -> bytes:
    """Return a blob that may be a JSON document, and nothing of any other."""
    try:
        with open(store.blobs.path(digest), "rb") as blob:
            beginning = blob.read(1)
            if beginning != b"{" or os.fstat(blob.fileno()).st_size > DOCUMENT_LIMIT:
                return b""
            return beginning + blob.read()
    except FileNotFoundError:
        return b""


def _take_dead_snapshots(store: Store, doomed: str, collected: Collected) -> None:
    """Take snapshots that belong to no container and whose process is dead.

    What was made for them goes first: as long as the snapshot is there, it is found again.
    """
    root = f"{store.root}/containers"
    dead = [key for key in os.listdir(root) if _is_dead(store, key)]
    if dead:
        store.volumes.remove_unnamed_of(dead)
    for key in dead:
        try:
            os.rename(f"{root}/{key}", f"{doomed}/snapshot-{key}")
        except FileNotFoundError:
            continue  # another process takes them, too
        collected.snapshots.append(key)


def _is_dead(store: Store, key: str) -> bool:
    record = f"{store.root}/containers/{key}/{RECORD}"
    if os.path.exists(record) or _is_live(store, key):
        return False
    # Its process may have written the record, and ended, between those two looks.
    return not os.path.exists(record)


def _is_live(store: Store, key: str) -> bool:
    try:
        owner = store.snapshots.load(key).owner
    except SnapshotNotFound:
        return False
    return workshop.is_live(f"{store.root}/tmp", owner)


def _take_layers(store: Store, kept: set[str], doomed: str, collected: Collected) -> None:
    for diff_id in store.layers.list():
        if diff_id not in kept:
            collected.size += store.layers.size(diff_id)
            store.layers.take_away(diff_id, f"{doomed}/layer-{diff_id.hex}")
            collected.layers.append(diff_id)


def _take_repairs(store: Store, doomed: str) -> None:
    """Take the repairs of chains that lost a layer."""
    for name in os.listdir(f"{store.root}/repairs"):
        chain = _read(f"{store.root}/repairs/{name}/chain").decode().split()
        whole = all(os.path.exists(store.layers.path(Digest(diff_id))) for diff_id in chain)
        if not whole or chain_hex(list(map(Digest, chain))) != name:
            os.rename(f"{store.root}/repairs/{name}", f"{doomed}/repair-{name}")


def _take_blobs(store: Store, kept: set[str], collected: Collected) -> None:
    for digest in store.blobs.list():
        if digest not in kept:
            collected.size += os.stat(store.blobs.path(digest)).st_size
            unlink_if_exists(store.blobs.path(digest))
            collected.blobs.append(digest)
