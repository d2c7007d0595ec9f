"""What a container mounts besides its root: host directories, named volumes, memory."""

from __future__ import annotations

import os

from onggi.errors import Conflict, InvalidInput, NotFound
from onggi.linux import directories
from onggi.store.names import require_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from onggi.engine.options import ContainerOptions
    from onggi.store.store import Store

    Filters = dict[str, list[str]]

_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
# Of each row one word may be said; those of the last three have no meaning here.
_MODES = (
    ("ro", "rw"),
    _PROPAGATION,
    ("z", "Z"),
    ("cached", "delegated", "consistent"),
    ("nocopy",),
)
_KERNELS = ("dev", "proc", "sys")
# Source: tmpfs(5), "Mount options".
_TMPFS = ("size", "mode", "uid", "gid", "nr_blocks", "nr_inodes", "mpol", "huge")


class VolumeMount:
    """One mount that was asked for: `kind` is "bind" or "volume"; `name` is the volume's.

    `recursive` tells of what is mounted below a directory of the host, in Docker's words: it is
    shown too (enabled), shown and never read-only (writable), or not shown (disabled).
    `is_anonymous`: it is a volume, and nobody gave it its name.
    """

    __slots__ = ("is_anonymous", "kind", "name", "options", "recursive", "source", "target")

    def __init__(
        self,
        *,
        kind: str,
        source: str,
        target: str,
        name: str = "",
        options: tuple[str, ...] = (),
        recursive: str = "enabled",
        is_anonymous: bool = False,
    ) -> None:
        self.is_anonymous = is_anonymous
        self.recursive = recursive
        self.kind = kind
        self.source = source
        self.target = target
        self.name = name
        self.options = options

    def to_oci(self, *, mapped: bool = False) -> dict[str, Any]:
        """Return the specification's mount.

        A volume belongs to containers, so in a user namespace (`mapped`) its files belong to the
        users inside; a directory of the host keeps its owners.
        """
        propagation = [self._propagation()]
        bind = "bind" if self.recursive == "disabled" else "rbind"
        # What is mounted below a directory that may only be read may only be read, too.
        read_only = "ro" if self.recursive in ("disabled", "writable") else "rro"
        mode = [read_only] if "ro" in self.options else []
        # What is stored with the namespace's owners translated to the host's must gain nobody
        # anything there.
        idmap = ["idmap", "nosuid", "nodev"] if mapped and self.kind == "volume" else []
        options = [bind, *propagation, *mode, *idmap]
        return {
            "destination": self.target,
            "type": "bind",
            "source": self.source,
            "options": options,
        }

    @property
    def is_filled(self) -> bool:
        """Whether it is a volume that gets, while it is empty, what the image has at its place."""
        return self.kind == "volume" and "nocopy" not in self.options

    def to_json(self) -> dict[str, Any]:
        """Return the mount as `inspect` shows it (Docker Engine API, MountPoint)."""
        shown = {
            "Type": self.kind,
            "Source": self.source,
            "Destination": self.target,
            "Mode": ",".join(self.options),
            "RW": "ro" not in self.options,
            "Propagation": self._propagation() if self.kind == "bind" else "",
        }
        return {**shown, "Name": self.name, "Driver": "local"} if self.name else shown

    def _propagation(self) -> str:
        return next((word for word in self.options if word in _PROPAGATION), "rprivate")


class Volume:
    """A named volume of the store."""

    __slots__ = ("_record", "_store")

    def __init__(self, store: Store, record: dict[str, Any]) -> None:
        self._store = store
        self._record = record

    @property
    def name(self) -> str:
        """The volume's name."""
        return str(self._record["name"])

    @property
    def labels(self) -> dict[str, str]:
        """The volume's labels."""
        return dict(self._record.get("labels", {}))

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody gave it its name."""
        return bool(self._record.get("anonymous"))

    def inspect(self) -> dict[str, Any]:
        """Return what is known of it, in the Docker Engine API's shape."""
        return {
            "Name": self.name,
            "Driver": "local",
            "Mountpoint": self._store.volumes.path(self.name),
            "CreatedAt": self._record.get("created", ""),
            "Labels": self._record.get("labels", {}),
            "Scope": "local",
            "Options": {},
        }


class Volumes:
    """The named volumes of an engine."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, name: str = "", *, labels: dict[str, str] | None = None) -> Volume:
        """Make a volume, or return the one of that name; without a name it gets 64 digits."""
        record = {"labels": dict(labels or {}), "created": _now(), "anonymous": not name}
        return Volume(self._store, self._store.volumes.create(name or anonymous(), record))

    def get(self, name: str) -> Volume:
        """Return the volume. Raises: VolumeNotFound."""
        return Volume(self._store, self._store.volumes.get(name))

    def list(self, filters: Filters | None = None) -> list[Volume]:
        """Return every volume that `filters` let pass, by name.

        Filters are Docker's: see filtering.volume_filter.
        """
        found = [Volume(self._store, record) for record in self._store.volumes.list()]
        if not filters:
            return found
        from onggi.engine import filtering

        passes = filtering.volume_filter(filters, self._used())
        return [one for one in found if passes(one)]

    def prune(self, filters: Filters | None = None) -> dict[str, int]:
        """Remove the volumes that no container names and nobody has named; return their sizes.

        Args: filters: `label`, `label!`; `all` with the value true, for named ones too.
        """
        from onggi.engine import filtering
        from onggi.store.trees import size

        passes = filtering.prunable(filters or {})
        used = self._used()
        removed = {}
        for one in self.list():
            if one.name in used or not passes(one):
                continue
            taken = size(self._store.volumes.path(one.name))
            try:
                self.remove(one.name)
            except (Conflict, NotFound):
                continue  # a container took it just now, or somebody else removed it
            removed[one.name] = taken
        return removed

    def users(self) -> dict[str, int]:
        """Return how many containers, running or not, have each volume that any has."""
        counts: dict[str, int] = {}
        for record in self._store.containers.list():
            for name in {mount.get("Name") for mount in record.get("mounts", ())} - {None, ""}:
                counts[name] = counts.get(name, 0) + 1
        return counts

    def _used(self) -> set[str]:
        return set(self.users())

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that no container names; with `force` one that is not there is fine.

        Raises: VolumeNotFound; Conflict: a container, running or not, uses it.
        """
        from onggi.store.volumes import VolumeNotFound

        users = [
            record["id"][:12]
            for record in self._store.containers.list()
            if any(mount.get("Name") == name for mount in record.get("mounts", ()))
        ]
        if users:
            raise Conflict(f"volume {name} is in use by {', '.join(users)}")
        try:
            self._store.volumes.remove(name)
        except VolumeNotFound:
            if not force:
                raise


def _require_tmpfs(given: list[str]) -> None:
    """Refuse what the kernel would refuse without saying which word it was."""
    from onggi.runtime.steps.options import ATTRIBUTES, IGNORED, SUPERBLOCK

    for word in given:
        key, equals, value = word.partition("=")
        known = key in _TMPFS if equals else word in (*ATTRIBUTES, *IGNORED, *SUPERBLOCK)
        if not known or (equals and not value):
            hint = f"{', '.join(f'{each}=' for each in _TMPFS)} or a word of mount(8) such as exec"
            raise InvalidInput(f"invalid tmpfs option {word!r}", hint=hint)


def anonymous() -> str:
    """Return a name that nobody chose, as Docker gives it."""
    return os.urandom(32).hex()


def resolve(
    options: ContainerOptions, image_volumes: tuple[str, ...], store: Store, *, instead: str = ""
) -> list[VolumeMount]:
    """Return every bind and volume of a container, deepest last; `make` makes what is missing.

    Args: instead: where volumes would lie that do not exist; in the store, if not given.
    Raises: InvalidInput: a word that makes no sense, or one target named twice.
    """
    asked = [parse(text) for text in options.volumes]
    asked += [_from_words(words) for words in options.mounts]
    targets = [mount.target for mount in asked]
    targets += [_clean(text.partition(":")[0]) for text in options.tmpfs]
    for target in targets:
        if targets.count(target) > 1:
            raise InvalidInput(f"duplicate mount point: {target}")
    others = (mount for text in options.volumes_from for mount in _of_another(text, store))
    lent = {mount.target: mount for mount in others if mount.target not in targets}
    asked += [
        *lent.values(),
        *(
            VolumeMount(kind="volume", source="", target=path)
            for path in _declared(image_volumes)
            if path not in targets and path not in lent
        ),
    ]
    asked.sort(key=lambda one: one.target)
    return [_found(mount, store, instead) for mount in asked]


def _of_another(text: str, store: Store) -> Iterator[VolumeMount]:
    """Yield what `--volumes-from CONTAINER[:MODE]` lends, as it is there or as MODE says.

    Raises: ContainerNotFound; InvalidInput: the mode is neither "ro" nor "rw".
    """
    name, _, mode = text.partition(":")
    words = [word for word in mode.split(",") if word]
    if not set(words) <= {"ro", "rw", "z", "Z"} or {"ro", "rw"} <= set(words):
        raise InvalidInput(f"invalid mode for volumes-from: {mode!r}", hint="ro or rw")
    for shown in store.containers.load(store.containers.resolve(name))["mounts"]:
        held = [word for word in shown["Mode"].split(",") if word and word not in ("ro", "rw")]
        access = [word for word in ("ro", "rw") if word in words]
        access = access or ([] if shown["RW"] else ["ro"])
        yield VolumeMount(
            kind=shown["Type"],
            source=shown["Source"],
            target=shown["Destination"],
            name=shown.get("Name", ""),
            options=tuple(held + access),
        )


def _declared(image_volumes: tuple[str, ...]) -> Iterator[str]:
    """Return where the image wants volumes, each place once."""
    for path in dict.fromkeys(map(_clean, image_volumes)):
        if path.split("/")[1] in ("", *_KERNELS):
            raise InvalidInput(
                f"the image declares a volume at {path!r}", hint="not over the kernel's"
            )
        yield path


def parse(text: str) -> VolumeMount:
    """Read Docker's `-v`: SOURCE:TARGET[:OPTIONS], or TARGET alone for an unnamed volume."""
    fields = text.split(":")
    if len(fields) > 3 or not all(fields):
        raise InvalidInput(f"invalid volume specification: {text!r}", hint="SOURCE:TARGET[:ro]")
    if len(fields) == 1:
        return VolumeMount(kind="volume", source="", target=_target(fields[0]))
    source, target = fields[0], _target(fields[1])
    options = tuple(fields[2].split(",")) if len(fields) == 3 else ()
    is_path = source.startswith(("/", ".", "~"))
    _require_modes(options, on_host=is_path)
    if is_path:
        path = os.path.abspath(os.path.expanduser(source))
        return VolumeMount(kind="bind", source=path, target=target, options=options)
    return VolumeMount(kind="volume", source="", target=target, name=source, options=options)


def _target(path: str) -> str:
    if not path.startswith("/"):
        raise InvalidInput(f"invalid mount path: {path!r} must be absolute")
    if _clean(path) == "/":
        raise InvalidInput(f"invalid mount path: {path!r} must not be the root")
    return _clean(path)


def _require_modes(options: tuple[str, ...], *, on_host: bool) -> None:
    """Refuse words that are unknown, contradict each other, or go with directories of the host."""
    for word in options:
        if not any(word in row for row in _MODES):
            raise InvalidInput(f"invalid mode: {word}", hint="ro, rw, or a propagation")
        if word in _PROPAGATION and not on_host:
            raise InvalidInput(f"invalid mode: {word}", hint="a volume has no propagation")
        if word == "nocopy" and on_host:
            raise InvalidInput(f"invalid mode: {word}", hint="it goes with volumes")
    for row in _MODES:
        said = [word for word in options if word in row]
        if len(said) > 1:
            raise InvalidInput(f"invalid mode: {','.join(options)}", hint="of each kind one word")


def _from_words(words: dict[str, Any]) -> VolumeMount:
    kind, source = words.get("type", "volume"), words.get("source") or ""
    target = _target(words.get("target") or "")
    said = (words.get("readonly") and "ro", words.get("propagation"))
    options = tuple(str(word) for word in said if word)
    _require_modes(options, on_host=kind == "bind")
    if kind == "volume":
        options += ("nocopy",) if words.get("nocopy") else ()
        return VolumeMount(kind=kind, source="", target=target, name=source, options=options)
    if kind != "bind":
        raise InvalidInput(f"invalid mount type {kind!r}", hint="bind or volume")
    if not source.startswith("/"):
        raise InvalidInput(f"bind source {source!r} must be an absolute path")
    if not os.path.exists(source):
        raise InvalidInput(f"bind source path does not exist: {source}")
    recursive = str(words.get("recursive") or "enabled")
    return VolumeMount(
        kind=kind, source=source, target=target, options=options, recursive=recursive
    )


def _found(mount: VolumeMount, store: Store, instead: str) -> VolumeMount:
    """Say where what the mount shows lies, or will."""
    if mount.kind == "bind":
        return mount
    name = require_name(mount.name or anonymous(), "volume name")
    source = store.volumes.data_path(name)
    if instead and not os.path.exists(source):
        source = f"{instead}/{name}"
    return VolumeMount(
        kind="volume",
        source=source,
        target=mount.target,
        name=name,
        options=mount.options,
        is_anonymous=not mount.name,
    )


def make(mounts: list[VolumeMount], trees: list[str], store: Store, container: str) -> None:
    """Make the volumes and directories that do not exist, as Docker does for `-v`, and fill them.

    Args: container: its ID, which volumes that nobody named remember: without a record, they go.
    """
    for mount in mounts:
        if mount.kind == "volume":
            record = {"created": _now(), "labels": {}, "anonymous": mount.is_anonymous}
            known = {**record, "container": container} if mount.is_anonymous else record
            store.volumes.create(mount.name, known)
        elif not os.path.exists(mount.source):
            directories.make(mount.source, 0o755)
    fill(mounts, trees, store)


def fill(mounts: list[VolumeMount], trees: list[str], store: Store) -> None:
    """Put into volumes that are empty what the image has where they will be mounted.

    Source: docs.docker.com/engine/storage/volumes, "Populate a volume using a container".
    """
    wanted = [mount for mount in mounts if mount.is_filled]
    if not wanted:
        return
    from onggi.store import lookup
    from onggi.store.merge import Stack

    with Stack(trees) as stack:
        for mount in wanted:
            view = lookup.directory(stack, mount.target)
            if view is None:
                continue
            with view:
                # By descriptor, and with a component behind it: the links of /proc are not followed
                # at a path's end.
                store.volumes.fill(
                    mount.name, [f"/proc/self/fd/{fd}/." for fd in view.descriptors.values()]
                )


def tmpfs(options: ContainerOptions) -> Iterator[dict[str, Any]]:
    """Return the specification's mounts of memory, with Docker's defaults."""
    for text in options.tmpfs:
        target, _, words = text.partition(":")
        given = words.split(",") if words else []
        _require_tmpfs(given)
        base = [word for word in ("noexec", "nosuid", "nodev") if word[2:] not in given]
        yield {
            "destination": _target(target),
            "type": "tmpfs",
            "source": "tmpfs",
            "options": [*base, *(word for word in given if word not in base)],
        }


def _clean(path: str) -> str:
    """Return the path from the root on, with one slash before it: POSIX leaves two alone."""
    return os.path.normpath("/" + path.lstrip("/"))


def _now() -> str:
    import time

    from onggi.runtime.log import stamp

    return stamp(time.time_ns()).decode()
