"""Removing containers, so that a removal that is cut short is finished by the next command.

First of all the container says that it is being removed; then go the volumes that nobody named,
and last, in one step, the container itself with what was said. All this happens under its lock.
"""

from __future__ import annotations

import errno
import os
import time

from onggi.engine import cgroups, places
from onggi.errors import Conflict
from onggi.runtime import rundir, state
from onggi.store.records import ContainerNotFound
from onggi.store.volumes import VolumeNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.container import Container
    from onggi.store.store import Store

_PATIENCE_SECONDS = 10.0  # with a container that others start again and again


def remove(container: Container, *, force: bool, volumes: bool) -> None:
    """Remove a container with all it wrote; one of `--rm` that is gone already is fine.

    Args: force: end it if it runs. volumes: remove also those that nobody named.
    Raises: Conflict: it runs, and `force` is not given; ContainerNotFound.
    """
    store, record = container.store, container.record
    lock_fd = _locked(container, force=force)
    try:
        cgroups.clear(container.id, record)  # of a start that was cut short
        _carry_out_once(store, record, volumes=volumes)
        rundir.remove(places.run_directory(store, container.id))
    finally:
        os.close(lock_fd)


def _carry_out_once(store: Store, record: dict[str, Any], *, volumes: bool) -> None:
    try:
        carry_out(store, record, volumes=volumes)
    except ContainerNotFound:
        if not record["options"]["remove"]:
            rundir.remove(places.run_directory(store, record["id"]))
            raise


def carry_out(store: Store, record: dict[str, Any], *, volumes: bool) -> None:
    """Remove a container that does not run and whose lock is ours.

    Raises: ContainerNotFound
    """
    identifier = record["id"]
    if not record["options"]["remove"]:  # which says as much already
        store.containers.load(identifier)
        _say(store.containers.path(identifier), volumes=volumes)
    if volumes:
        _remove_volumes(store, record)
    store.containers.delete(identifier)


def _say(directory: str, *, volumes: bool) -> None:
    """Say that the container is being removed; on a full disk that is no reason not to do it."""
    try:
        state.write(directory, state.removing(volumes=volumes))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _locked(container: Container, *, force: bool) -> int:
    """Take the lock of a container that does not run, or not any more."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    directory = places.run_directory(container.store, container.id)
    while True:
        if container.state.is_alive():
            _end(container, force=force)
        container.wait()
        try:
            return rundir.lock(directory, patience=0)
        except Conflict:
            if time.monotonic() >= deadline:
                raise


def _end(container: Container, *, force: bool) -> None:
    if not force:
        raise Conflict(
            f"container {container.id[:12]} is {container.status}",
            hint="stop it before removing it, or force it",
        )
    try:
        container.kill()
    except Conflict:
        pass  # it ended just now


def _remove_volumes(store: Store, record: dict[str, Any]) -> None:
    """Remove the volumes of a container that nobody had named, unless others use them.

    Who asked for one by the name that it was given had named it.
    """
    options = record["options"]
    said = {text.partition(":")[0] for text in options["volumes"]}
    said |= {words.get("source") for words in options["mounts"]}
    names = _volume_names(record) - said
    if not names:
        return
    for other in store.containers.list():
        if other["id"] != record["id"]:
            names -= _volume_names(other)
    for name in names:
        try:
            if store.volumes.get(name).get("anonymous"):
                store.volumes.remove(name)
        except VolumeNotFound:
            continue  # somebody removed it


def _volume_names(record: dict[str, Any]) -> set[str]:
    return {mount["Name"] for mount in record.get("mounts", ()) if mount.get("Name")}
