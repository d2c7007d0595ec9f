"""Snapshots: layers below, a writable directory on top, put together by overlayfs.

    key         names an active snapshot: a container's ID, or what the builder calls its own
    chain       the diff IDs of the layers below, the lowest first
    upper       what the snapshot's user has written
    work        where overlayfs prepares what it then moves to upper

`prepare` makes one; `mounts` tells how to mount it, as data, and mounts nothing; `changes` and
`usage` look at it, mounted or not; `commit` makes a new layer of its upper; `remove` ends it.

It lies in `containers/<key>/`: `upper/`, `work/`, and `snapshot`, one word a line: `durable` or
`volatile`, the workshop of who made it, the chain's repair or `-`, then the chain. Without a
container's record beside it, a snapshot ends with the process that prepared it.

    store.snapshots.prepare(key, image.diff_ids)          # run
    runtime.create(rootfs=store.snapshots.mounts(key))
    store.snapshots.remove(key)

    store.snapshots.prepare("build-7", parent.diff_ids)   # one RUN step of a build
    ...
    diff_id, descriptor = store.snapshots.commit("build-7", move=True)

Source: containerd core/snapshots/snapshotter.go (the vocabulary); overlayfs.rst.
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.errors import AlreadyExists, Conflict, Corrupt, NotFound
from onggi.linux import user_namespace
from onggi.oci.digest import Digest
from onggi.oci.mount import Mount
from onggi.store.atomic import read_file, sync_directory, unlink_if_exists, write_new
from onggi.store.names import require_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from onggi.oci.descriptor import Descriptor
    from onggi.store.changes import Change
    from onggi.store.owners import Owners
    from onggi.store.store import Store

_FILE = "snapshot"
_PLAIN_ROOT = (0o755, 0, 0)
_PARTS = ("upper", "work", _FILE)
# mount(2) takes a page of options; what is left of it is for upper, work and the runtime's own.
_LOWER_LIMIT = 3000
# Kernels differ in their defaults for these, and with any of them on, an upper directory is more
# than its files say. Source: overlayfs.rst, "Renaming directories", "Metadata only copy up".
_PLAIN = ("index=off", "redirect_dir=off", "metacopy=off")
# In a user namespace: `userxattr` forbids the other two. Source: overlayfs.rst, "User xattr".
_PLAIN_OF_USERS = ("index=off", "userxattr")


class SnapshotNotFound(NotFound):
    """No snapshot has this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no such snapshot: {key}")
        self.key = key


class Snapshot:
    """What is written down about a snapshot."""

    __slots__ = ("chain", "owner", "repair", "volatile")

    def __init__(
        self, *, chain: tuple[Digest, ...], owner: str, repair: str, volatile: bool
    ) -> None:
        self.chain = chain
        self.owner = owner
        self.repair = repair
        self.volatile = volatile

    @classmethod
    def parse(cls, data: bytes) -> Snapshot:
        """Read what `encode` wrote."""
        kind, owner, repair, *chain = data.decode().split()
        return cls(
            chain=tuple(map(Digest, chain)),
            owner=owner,
            repair=repair.strip("-"),
            volatile=kind == "volatile",
        )

    def encode(self) -> bytes:
        """Write it, one word a line."""
        kind = "volatile" if self.volatile else "durable"
        return "\n".join((kind, self.owner, self.repair or "-", *self.chain)).encode()


class Snapshots:
    """The active snapshots of a store."""

    __slots__ = ("_durable", "_root", "_store")

    def __init__(self, store: Store, *, durable: bool = True) -> None:
        self._store = store
        self._root = f"{store.root}/containers"
        self._durable = durable

    def prepare(self, key: str, diff_ids: Sequence[Digest], *, durable: bool | None = None) -> None:
        """Make a snapshot on top of these layers, the lowest first.

        `durable=False` is for what ends with the machine: fsync and the like do nothing in it
        while it is mounted, and power loss may undo it.

        Raises:
            AlreadyExists: a snapshot has the key.
            LayerNotFound: a layer is not unpacked here.
        """
        require_name(key, "snapshot key")
        durable = self._durable if durable is None else durable
        workshop = self._store.workshop
        half_made = workshop.new_directory()
        try:
            with self._store.leases.publishing():
                notes = [self._store.layers.notes(each) for each in diff_ids]
                snapshot = Snapshot(
                    chain=tuple(diff_ids),
                    owner=workshop.token,
                    repair=self._repair(diff_ids, notes),
                    volatile=not durable,
                )
                self._make(half_made, snapshot, notes)
                self._publish(half_made, key)
        finally:
            workshop.remove(half_made)
        if durable:
            sync_directory(self._root)

    def mounts(self, key: str, *, beneath: str = "", scratch: str = "") -> list[Mount]:
        """Return the mounts that put the snapshot's root directory together; mounts nothing.

        `beneath` is a directory that lies below the lowest layer: what it holds is there where no
        layer says otherwise, and belongs to none.

        With `scratch`, a directory, what is written is kept in memory: a tmpfs is mounted there
        first, whose `upper` is made like the snapshot's own, and `work`.

        The options' paths are absolute, and written as mount(2) wants them: a backslash goes
        before each backslash, comma and colon.

        Raises: SnapshotNotFound
        """
        snapshot = self.load(key)
        place = f"{self._root}/{key}"
        if snapshot.volatile:
            _forget_volatile(f"{place}/work")
        lower = self._lower(snapshot.chain, snapshot.repair)
        if scratch:
            options = ("mode=0700",)
            memory = Mount(type="tmpfs", source=self.upper(key), target=scratch, options=options)
            return [memory, _overlay(lower, scratch, beneath, volatile=True)]
        return [_overlay(lower, place, beneath, volatile=snapshot.volatile)]

    def refusal(self) -> str:
        """Return why overlayfs cannot write to this store's file system; "" if it can.

        It is tried, with a mount that nobody else sees.
        """
        from onggi.store.upper import refusal

        return refusal(self._empty(1), self._store.workshop, _plain())

    def planned_mounts(
        self, place: str, diff_ids: Sequence[Digest], *, beneath: str, durable: bool
    ) -> list[Mount]:
        """Return what `mounts` would, for a snapshot that nobody prepares, with upper in `place`.

        Raises: LayerNotFound
        """
        notes = [self._store.layers.notes(each) for each in diff_ids]
        lower = self._lower(diff_ids, self._repair(diff_ids, notes))
        return [_overlay(lower, place, beneath, volatile=not durable)]

    def view(self, diff_ids: Sequence[Digest]) -> list[Mount]:
        """Return the mounts that show these layers, the lowest first, read-only.

        Raises: LayerNotFound
        """
        with self._store.leases.publishing():
            notes = [self._store.layers.notes(each) for each in diff_ids]
            repair = self._repair(diff_ids, notes)
        lower = self._lower(diff_ids, repair)
        if len(diff_ids) < 2:  # without an upper directory overlayfs wants two lower ones
            lower += ":" + _escaped(self._empty(2))
        options = ("ro", f"lowerdir={lower}", *_plain())
        return [Mount(type="overlay", source="overlay", options=options)]

    def load(self, key: str) -> Snapshot:
        """Return what is written down about a snapshot.

        Raises: SnapshotNotFound, Corrupt
        """
        path = f"{self._root}/{key}/{_FILE}"
        try:
            return Snapshot.parse(read_file(path))
        except (FileNotFoundError, NotADirectoryError):
            raise SnapshotNotFound(key) from None
        except ValueError as error:
            raise Corrupt(f"{path} does not describe a snapshot") from error

    def upper(self, key: str) -> str:
        """Return the directory of what the snapshot's user has written."""
        return f"{self._root}/{key}/upper"

    def stack(self, key: str) -> list[str]:
        """Return the directories that make up the snapshot, the topmost first.

        Raises: SnapshotNotFound
        """
        snapshot = self.load(key)
        return [self.upper(key), *self._trees(snapshot.chain, snapshot.repair)]

    def lower_stack(self, diff_ids: Sequence[Digest]) -> list[str]:
        """Return the directories that make up these layers, the topmost first.

        Raises: LayerNotFound
        """
        notes = [self._store.layers.notes(each) for each in diff_ids]
        return self._trees(diff_ids, self._repair(diff_ids, notes))

    def changes(self, key: str, owners: Owners | None = None) -> list[Change]:
        """Return how the snapshot differs from its layers: (kind, path), sorted by path.

        Args: owners: how to read the owners in it, if it was used in a user namespace.
        Raises: SnapshotNotFound
        """
        from onggi.store.changes import changes

        upper, *lower = self.stack(key)
        return changes(upper, lower, owners)

    def usage(self, key: str) -> int:
        """Return the bytes of the files that the snapshot's user has written.

        Raises: SnapshotNotFound
        """
        from onggi.store.trees import size

        self.load(key)
        return size(self.upper(key))

    def commit(
        self,
        key: str,
        *,
        move: bool = False,
        compression: str = "",
        clamp_mtime: int | None = None,
        owners: Owners | None = None,
    ) -> tuple[Digest, Descriptor]:
        """Make a layer of what was written: a blob, and the same unpacked.

        `move=True` takes the upper directory itself, which must not be mounted, and ends the
        snapshot; otherwise the upper is copied, and whoever uses the snapshot may go on.

        Args:
            key: the snapshot.
            move: whether it ends with this.
            compression: of the blob: "" or "gzip".
            clamp_mtime: no file shall be younger, in seconds since 1970 (SOURCE_DATE_EPOCH).
            owners: how to read the owners in it, if it was used in a user namespace; it is copied
                then, not moved.

        Returns: the layer's diff ID and its blob's descriptor.
        Raises: SnapshotNotFound; InvalidInput: something in it does not fit in an archive.
        """
        from onggi.store.commit import commit

        return commit(
            self._store,
            key,
            move=move,
            compression=compression,
            clamp_mtime=clamp_mtime,
            owners=owners,
        )

    def remove(self, key: str) -> None:
        """Remove the snapshot, which must not be mounted; a container's record stays.

        Raises: SnapshotNotFound
        """
        place = f"{self._root}/{key}"
        workshop = self._store.workshop
        doomed = workshop.new_directory()
        try:
            for part in ("upper", "work"):
                _rename_if_exists(f"{place}/{part}", f"{doomed}/{part}")
            os.rename(f"{place}/{_FILE}", f"{doomed}/{_FILE}")  # last: until then, try again
            _rmdir_if_empty(place)
        except (FileNotFoundError, NotADirectoryError):
            raise SnapshotNotFound(key) from None
        finally:
            workshop.remove(doomed)

    def _repair(self, diff_ids: Sequence[Digest], notes: Sequence[frozenset[str]]) -> str:
        if not any("implied" in each for each in notes[1:]):
            return ""  # nobody below could state what the lowest layer implies
        from onggi.store.repairs import require_repair

        store = self._store
        return require_repair(store.root, store.workshop, store.layers, diff_ids)

    def _make(self, half_made: str, snapshot: Snapshot, notes: Sequence[frozenset[str]]) -> None:
        from onggi.store.attributes import set_owner

        os.mkdir(f"{half_made}/upper", 0o755)
        os.mkdir(f"{half_made}/work", 0o700)
        # The root that the mount shows is upper itself.
        mode, uid, gid = self._stated_root(snapshot.chain, notes)
        set_owner(f"{half_made}/upper", uid, gid)
        os.chmod(f"{half_made}/upper", mode)
        write_new(f"{half_made}/{_FILE}", snapshot.encode(), durable=not snapshot.volatile)
        if not snapshot.volatile:
            sync_directory(half_made)

    def has_other_root(self, key: str, owners: Owners | None = None) -> bool:
        """Tell whether the root directory's mode or owner is not what the layers say.

        Args: owners: how to read its owner, if it was used in a user namespace.
        Raises: SnapshotNotFound
        """
        chain = self.load(key).chain
        notes = [self._store.layers.notes(diff_id) for diff_id in chain]
        mode, uid, gid = _mode_and_owner(self.upper(key))
        if owners is not None:
            uid, gid = owners.uid(uid), owners.gid(gid)
        return (mode, uid, gid) != self._stated_root(chain, notes)

    def _stated_root(
        self, chain: Sequence[Digest], notes: Sequence[frozenset[str]]
    ) -> tuple[int, int, int]:
        """Return mode and owner of the root as the highest layer states it that does."""
        for diff_id, noted in zip(reversed(chain), reversed(notes), strict=True):
            if "root" in noted:
                return _mode_and_owner(self._store.layers.path(diff_id))
        return _PLAIN_ROOT

    def _publish(self, half_made: str, key: str) -> None:
        """Put it in place; `snapshot` goes last if there is a container's directory already."""
        place = f"{self._root}/{key}"
        if os.path.exists(f"{place}/{_FILE}"):
            raise AlreadyExists(f"a snapshot has the key {key!r} already")
        if not os.path.exists(place):
            os.rename(half_made, place)
            return
        for part in _PARTS:
            try:
                os.rename(f"{half_made}/{part}", f"{place}/{part}")
            except OSError as error:
                raise Conflict(f"cannot put the snapshot into {place}") from error

    def _empty(self, number: int) -> str:
        return f"{self._store.root}/empty/{number}"

    def _trees(self, chain: Sequence[Digest], repair: str) -> list[str]:
        layers = self._store.layers
        trees = [layers.path(diff_id) for diff_id in _topmost(chain)]
        return [f"{self._store.root}/repairs/{repair}/fs", *trees] if repair else trees

    def _lower(self, chain: Sequence[Digest], repair: str) -> str:
        """Write the value of `lowerdir`, topmost first, with short names if it gets long."""
        trees = self._trees(chain, repair) or [self._empty(1)]
        lower = ":".join(map(_escaped, trees))
        if len(lower) <= _LOWER_LIMIT:
            return lower
        layers = self._store.layers
        short = [layers.short_path(diff_id) for diff_id in _topmost(chain)]
        return ":".join(map(_escaped, trees[: len(trees) - len(short)] + short))


def _mode_and_owner(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def _topmost(chain: Sequence[Digest]) -> list[Digest]:
    """Return the layers, the topmost first, each once.

    An image may have a layer twice (the same file copied, changed, and copied again). overlayfs
    refuses that (ELOOP), and the topmost says all that the other says.
    """
    return list(dict.fromkeys(reversed(chain)))


def _plain() -> tuple[str, ...]:
    """Return the options that make an upper directory no more than its files say."""
    return _PLAIN if user_namespace.is_first() else _PLAIN_OF_USERS


def _overlay(lower: str, place: str, beneath: str, *, volatile: bool) -> Mount:
    options = (
        "lowerdir=" + (f"{lower}:{_escaped(beneath)}" if beneath else lower),
        "upperdir=" + _escaped(f"{place}/upper"),
        "workdir=" + _escaped(f"{place}/work"),
        *_plain(),
        *(("volatile",) if volatile else ()),
    )
    return Mount(type="overlay", source="overlay", options=options)


def _escaped(path: str) -> str:
    for special in "\\,:":
        path = path.replace(special, "\\" + special)
    return path


def _forget_volatile(work: str) -> None:
    """Remove the sign by which overlayfs refuses to mount what was mounted volatile before.

    It stands for "this may lack what was not synced": true after a crash of the machine, and then
    the container is gone anyway. Source: overlayfs.rst, "Volatile mount".
    """
    overlayfs_own = f"{work}/work"
    unlink_if_exists(f"{overlayfs_own}/incompat/volatile/dirty")
    for path in ("incompat/volatile", "incompat"):
        _rmdir_if_empty(f"{overlayfs_own}/{path}")


def _rmdir_if_empty(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise


def _rename_if_exists(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except (FileNotFoundError, NotADirectoryError):
        return
