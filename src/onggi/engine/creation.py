"""Making a container: from what was asked for to a record on disk, ready to be started."""

from __future__ import annotations

import os
import time

from onggi.engine import limits, names, spec, volumes
from onggi.engine.places import FILES, beneath, filters, root_directory, run_directory
from onggi.engine.users import read_accounts
from onggi.errors import AlreadyExists, InvalidInput, Unsupported
from onggi.image.images import ImageNotFound, get_image
from onggi.linux import user_namespace
from onggi.runtime import rights, rundir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.ids import Choice
    from onggi.engine.options import ContainerOptions
    from onggi.engine.volumes import VolumeMount
    from onggi.image.images import Image
    from onggi.oci.mount import Mount
    from onggi.resources.host import Host
    from onggi.store.store import Store

_NAME_ATTEMPTS = 20
_LOCALHOST = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def create(store: Store, options: ContainerOptions, host: Host) -> tuple[str, int]:
    """Make a container; return its ID and the lock that says it is being worked on.

    Nothing is left if this raises. The lock's descriptor is the caller's: it passes it to a
    monitor, or gives it back with `release`.

    Raises: ImageNotFound, InvalidInput, NameTaken, Unsupported
    """
    draft = _Draft(store, options, host)
    lock_fd = rundir.lock(run_directory(store, draft.identifier))
    try:
        with _ids(store, options) as draft.first_ids:
            _record(draft, _prepare(draft))
    except BaseException:
        try:
            discard(store, draft.identifier)
            rundir.remove(run_directory(store, draft.identifier))
        finally:
            os.close(lock_fd)  # what could not be removed now is found by that
        raise
    return draft.identifier, lock_fd


class _Draft:
    """A container that is to be: what was asked for, of which image, on which host.

    directory: where its files will lie. first_ids: the host's user and group that its user
    namespace begins with, once they are chosen.
    """

    __slots__ = ("directory", "first_ids", "host", "identifier", "image", "options", "store")

    def __init__(self, store: Store, options: ContainerOptions, host: Host) -> None:
        self.store = store
        self.options = options
        self.host = host
        self.image = find_image(store, options.image)
        self.identifier = os.urandom(32).hex()
        self.directory = store.containers.path(self.identifier)
        self.first_ids = 0, 0


def find_image(store: Store, name: str) -> Image:
    """Return an image by its name. Raises: ImageNotFound, which says how to get one."""
    try:
        return get_image(store, name)
    except ImageNotFound as error:
        error.hint = "onggi bootstrap, build, load and import make images; onggi images lists them"
        raise


def describe(
    store: Store, options: ContainerOptions, host: Host
) -> tuple[dict[str, Any], list[Mount]]:
    """Return the record that `create` would write, and its root's mounts; make nothing.

    What a script must make by itself lies below `record["directory"]`: upper, work and `files`;
    in `directories` are those that it is to show and that are not there, and in `volumes` those
    that it fills with what the image has at their place.
    """
    draft = _Draft(store, options, host)
    draft.directory = f"{store.root}/explained/{draft.identifier}"
    diff_ids = draft.image.diff_ids
    with _ids(store, options) as draft.first_ids:
        record, mounts = _compose(
            draft, store.snapshots.lower_stack(diff_ids), volumes_at=f"{draft.directory}/volumes"
        )
    record.update(id=draft.identifier, directory=draft.directory, files=_contents(draft))
    record["volumes"] = [mount.source for mount in mounts if mount.is_filled]
    sources = [mount.source for mount in mounts]
    record["directories"] = [source for source in sources if not os.path.exists(source)]
    durable = not options.remove
    return record, store.snapshots.planned_mounts(
        draft.directory, diff_ids, beneath=beneath(store), durable=durable
    )


def release(store: Store, identifier: str, lock_fd: int) -> None:
    """Give back the lock of a container that is not started now."""
    rundir.remove(run_directory(store, identifier))
    os.close(lock_fd)


class _NoIds:
    """What stands for a choice of IDs where the host's are used."""

    def __enter__(self) -> tuple[int, int]:
        return 0, 0

    def __exit__(self, *error: object) -> None:
        pass


def _ids(store: Store, options: ContainerOptions) -> Choice | _NoIds:
    """Return what chooses the host's IDs of a user namespace, and holds them in a `with` block."""
    if options.userns != "auto" or not user_namespace.is_first():
        return _NoIds()
    from onggi.engine.ids import Choice

    return Choice(store)


def _prepare(draft: _Draft) -> dict[str, Any]:
    """Make what the container has in the store, and return what is to be recorded of it."""
    store, options = draft.store, draft.options
    store.snapshots.prepare(draft.identifier, draft.image.diff_ids, durable=not options.remove)
    for name, text in _contents(draft).items():
        with open(f"{draft.directory}/{name}", "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever the caller's umask is
            file.write(text)
    trees = store.snapshots.stack(draft.identifier)
    in_memory = _in_memory(store)
    record, mounts = _compose(draft, trees)
    if in_memory:
        record["in_memory"] = True
        record["warnings"].append(in_memory)
    volumes.make(mounts, trees, store, draft.identifier)  # last: nothing is left to be refused
    return record


def _compose(
    draft: _Draft, trees: list[str], *, volumes_at: str = ""
) -> tuple[dict[str, Any], list[VolumeMount]]:
    """Return the record of a container, and what it mounts; make nothing.

    Args: trees: where its image's files lie. volumes_at: where its own volumes are to be made, if
        not in the store.
    """
    store, options, image = draft.store, draft.options, draft.image
    granted, resources, warnings = limits.granted(options.limits, draft.host)
    mounts = volumes.resolve(options, image.config.volumes, store, instead=volumes_at)
    parts = spec.Parts(
        identifier=draft.identifier,
        hostname=_hostname(draft),
        image=image.config,
        accounts=read_accounts(trees),
        mounts=mounts,
        files={inside: f"{draft.directory}/{name}" for inside, name in FILES.items()},
        request=granted,
        resources=resources,
        first_ids=draft.first_ids,
        rights=rights.gather(),
    )
    record = _origin(options, image) | {
        "mounts": [mount.to_json() for mount in mounts],
        "warnings": [*warnings, *_left_out(store, image)],
        "config": spec.build(options, parts, root=root_directory(store)),
    }
    _require_filter(store, record)
    _require_profile(record)
    return record, mounts


def _origin(options: ContainerOptions, image: Image) -> dict[str, Any]:
    """Return what a record says of who asked for the container, and of its image."""
    return {
        "image": options.image,
        "image_id": str(image.id),
        "manifest": str(image.manifest.digest),  # named here, it and its layers stay
        "created_ns": time.time_ns(),
        "labels": {**image.config.labels, **options.labels},
        "options": options.to_json(),
        "stop_signal": spec.stop_signal(options, image.config),
        "stop_seconds": 10 if options.stop_timeout is None else options.stop_timeout,
        "seccomp": spec.security(options)["seccomp"],
    }


def _in_memory(store: Store) -> str:
    """Say that what the container writes is kept in memory, if the store has no place for it.

    Root's stores lie where root put them, and are refused by the kernel's words.
    """
    if user_namespace.is_first():
        return ""
    from onggi.engine.rootless import own_mounts

    reason = own_mounts.refusal(store)
    if not reason:
        return ""
    return (
        f"overlayfs cannot write to the file system of {store.root} ({reason}): what the "
        "container writes is kept in memory, and lost when it ends"
    )


def _left_out(store: Store, image: Image) -> list[str]:
    """Say which device nodes the image has and the container has not, but for what is in /dev."""
    if user_namespace.is_first():
        return []
    paths = {path for diff_id in image.diff_ids for path in store.layers.left_out(diff_id)}
    return [
        f"the image's device node /{os.fsdecode(path)} is left out: only root may make one"
        for path in sorted(paths)
        if not path.startswith(b"dev/")
    ]


def _require_filter(store: Store, record: dict[str, Any]) -> None:
    """Compile a seccomp profile of the container's own now, as it may make no sense."""
    if record["seccomp"] not in ("default", "unconfined"):
        from onggi.engine import own_filter

        held = record["config"]["process"]["capabilities"]["bounding"]
        own_filter.filter_file(record["seccomp"], held, filters(store))


def _require_profile(record: dict[str, Any]) -> None:
    """Refuse a profile of AppArmor where that is not in force, and confines nothing."""
    if "apparmorProfile" in record["config"]["process"]:
        from onggi.linux import security_modules

        if not security_modules.apparmor_enabled():
            raise Unsupported("AppArmor is not enabled on this host", hint="apparmor=unconfined")


def _contents(draft: _Draft) -> dict[str, str]:
    """Return the files that say who and where the container is, by name."""
    return {
        "hosts": hosts(draft.options.network) + _extra_hosts(draft.options),
        "hostname": f"{_hostname(draft)}\n",
        "resolv.conf": _read("/etc/resolv.conf"),
    }


def hosts(network: str) -> str:
    """Return what /etc/hosts says on a network: what the host's own does, or loopback's names."""
    return (network == "host" and _read("/etc/hosts")) or _LOCALHOST


def _extra_hosts(options: ContainerOptions) -> str:
    """Return the lines of /etc/hosts for the hosts that were added.

    Raises: InvalidInput: one is not NAME:ADDRESS, or means a gateway where there is none.
    """
    if not options.extra_hosts:
        return ""
    from onggi.build.options import parse_host

    for text in options.extra_hosts:
        if "host-gateway" in text and options.network != "host":
            raise InvalidInput(
                f"{text!r}: network {options.network!r} has no gateway", hint="name an address"
            )
    found = map(parse_host, options.extra_hosts)
    return "".join(f"{address}\t{name}\n" for name, address in found)


def _hostname(draft: _Draft) -> str:
    shared = draft.options.network == "host"
    return draft.options.hostname or (os.uname().nodename if shared else draft.identifier[:12])


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _record(draft: _Draft, record: dict[str, Any]) -> None:
    """Write the record down, under the name that was asked for or one that nobody has."""
    identifier, durable = draft.identifier, not draft.options.remove
    containers = draft.store.containers
    if draft.options.name:
        containers.create(identifier, draft.options.name, record, durable=durable)
        return
    for attempt in range(_NAME_ATTEMPTS):
        try:
            containers.create(identifier, names.random_name(attempt), record, durable=durable)
        except AlreadyExists:
            continue  # two containers of one random name; another will do
        return
    containers.create(identifier, identifier[:12], record, durable=durable)


def discard(store: Store, identifier: str) -> None:
    """Remove what a container without a record has left, whose lock is ours; twice is fine."""
    from onggi.store.snapshots import SnapshotNotFound

    directory = store.containers.path(identifier)
    if not os.path.isdir(directory):
        return  # it did not get so far
    store.volumes.remove_unnamed_of({identifier})
    for file in FILES.values():
        try:
            os.unlink(f"{directory}/{file}")
        except FileNotFoundError:
            continue  # it did not get so far
    try:
        store.snapshots.remove(identifier)
    except SnapshotNotFound:
        pass
