"""Bad luck: SIGKILL at any moment, a full disk; the store is consistent afterwards."""

import itertools
import os
import random
import signal
import time
from pathlib import Path

import pytest

from onggi.linux import mount
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.media_types import OCI_MANIFEST
from onggi.store.collect import collect
from onggi.store.records import ContainerNotFound
from onggi.store.snapshots import SnapshotNotFound
from onggi.store.store import Store
from onggi.store.tar_write import layer_archive
from support.child import run_in_child
from support.layers import archive, directory, unpack
from support.patience import SLOWER
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "openat2")

KILLS = 60


def canonical(root: Path, number: int) -> bytes:
    """Make a layer's archive as our own writer writes it, so that it can be checked on disk."""
    files = [(f"d/{each}-{number}", b"x" * each) for each in range(40)]
    with Store(str(root / "canonical"), durable=False) as store:
        diff_id = unpack(store, archive(directory("d"), *files))
        return b"".join(layer_archive(store.layers.path(diff_id)))


def work_without_end(root: str, layers: list[bytes], seed: int) -> None:
    """Do everything that changes a store, in any order, until killed."""
    choose = random.Random(seed)
    store = Store(root)
    for number in itertools.count():
        key, name = f"{seed}-{number}", f"docker.io/x/x:{choose.randrange(5)}"
        layer = choose.choice(layers)
        with store.lease():
            diff_id = unpack(store, layer)
            document = b'{"layer":"%b","n":%d}' % (diff_id.encode(), number)
            store.blobs.put(document)
            store.references.set(name, Descriptor.of(document, OCI_MANIFEST))
            store.snapshots.prepare(key, [diff_id], durable=choose.random() < 0.5)
            store.containers.create(key, f"name-{choose.randrange(3)}-{key}", {"count": 0})
            Path(store.snapshots.upper(key), "file").write_text(key)
            store.snapshots.commit(key)
            builder = f"build-{key}"
            store.snapshots.prepare(builder, [diff_id])
            Path(store.snapshots.upper(builder), "file").write_text(key)
            store.snapshots.commit(builder, move=True, clamp_mtime=1)
        store.containers.update(key, lambda record: {**record, "count": 1})
        store.volumes.create(f"volume-{choose.randrange(3)}")
        if choose.random() < 0.5:
            store.containers.delete(key)
        if choose.random() < 0.3:
            store.references.delete(name)
            collect(store)
        if choose.random() < 0.3:
            store.volumes.remove(next(iter(store.volumes.list()))["name"])


def require_consistent(store: Store) -> None:
    """Everything that can be seen is whole; nothing half-made is anywhere but in tmp/."""
    for digest in store.blobs.list():
        store.blobs.verify(digest)
    for diff_id in store.layers.list():
        stated = "root" in store.layers.notes(diff_id)
        assert store.layers.size(diff_id) >= 0
        written = b"".join(layer_archive(store.layers.path(diff_id), root=stated))
        assert Digest.of(written) == diff_id
    for _, descriptor in store.references.list():
        assert store.blobs.has(descriptor.digest)
    for record in store.containers.list():
        assert store.containers.resolve(record["name"]) == record["id"]
        assert record["count"] in (0, 1)
        for diff_id in store.snapshots.load(record["id"]).chain:
            assert store.layers.has(diff_id)
        store.snapshots.changes(record["id"])
    for volume in store.volumes.list():
        assert os.path.isdir(store.volumes.path(volume["name"]))
    top = set(os.listdir(store.root))
    assert not [name for name in top if name.startswith(".")]
    own = [os.path.basename(store.workshop.path)]
    assert os.listdir(f"{store.root}/tmp") == own


@pytest.mark.time_limit(120)
@withstands("killed", "SIGKILL of the store at any moment")
def test_killed_at_any_moment(root_dir: Path) -> None:
    layers = [canonical(root_dir, number) for number in range(3)]
    root = str(root_dir / "store")
    choose = random.Random(20250101)
    for seed in range(KILLS):
        child = os.fork()
        if child == 0:
            work_without_end(root, layers, seed)
            os._exit(1)
        time.sleep(choose.uniform(0.001, 0.06) * SLOWER)
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        if not os.path.exists(f"{root}/schema"):
            continue  # killed before the store was there
        with Store(root) as store:
            require_consistent(store)
            if seed % 10 == 9:
                collect(store)
                require_consistent(store)
    with Store(root) as store:
        assert store.layers.list()
        for container in store.containers.ids():
            store.containers.delete(container)
        for reference, _ in store.references.list():
            store.references.delete(str(reference))
        for _, descriptor in store.references.list():
            store.references.forget(descriptor.digest)
        collect(store)
        assert store.blobs.list() == []
        assert store.layers.list() == []
        assert os.listdir(f"{root}/containers") == os.listdir(f"{root}/names") == []


def on_a_full_disk(place: Path, megabytes: int) -> Store:
    mount.mount("none", str(place), "tmpfs", 0, f"size={megabytes}m,nr_inodes=2000")
    return Store(str(place / "store"))


def fill(place: Path) -> None:
    """Leave no room at all."""
    with (place / "filler").open("wb", buffering=0) as file:
        while (free := os.statvfs(place)).f_bavail:
            file.write(bytes(free.f_bsize))


@withstands("killed", "a full disk")
def test_a_full_disk_leaves_the_old_state(root_dir: Path) -> None:
    small = canonical(root_dir, 1)

    def body() -> None:
        with on_a_full_disk(root_dir, 4) as store:
            kept = unpack(store, small)
            image = Descriptor.of(b"{}", OCI_MANIFEST)
            store.blobs.put(b"{}")
            store.references.set("docker.io/x/x:1", image)
            store.containers.create("jar", "jar", {"count": 0})
            store.snapshots.prepare("jar", [kept])
            with pytest.raises(OSError, match="No space left"):
                unpack(store, archive(("large", bytes(8 << 20))))
            with pytest.raises(OSError, match="No space left"):
                unpack(store, archive(*((f"{n}", b"") for n in range(3000))))
            with pytest.raises(OSError, match="No space left"):
                store.blobs.put(bytes(8 << 20))
            fill(root_dir)
            with pytest.raises(OSError, match="No space left"):
                store.references.set("docker.io/x/x:2", image)
            with pytest.raises(OSError, match="No space left"):
                store.containers.update("jar", lambda record: {**record, "count": 1})
            with pytest.raises(OSError, match="No space left"):
                store.containers.create("pot", "pot", {})
            with pytest.raises(OSError, match="No space left"):
                store.volumes.create("volume")
            require_consistent(store)
            assert store.layers.list() == [kept]
            assert [str(name) for name, _ in store.references.list()] == ["docker.io/x/x:1"]
            assert store.containers.load("jar")["count"] == 0
            with pytest.raises(ContainerNotFound):
                store.containers.resolve("pot")
            assert list(store.volumes.list()) == []
            (root_dir / "filler").unlink()
            store.containers.create("pot", "pot", {"count": 0})
            store.containers.delete("jar")

    run_in_child(body, "mount")


def test_a_commit_on_a_full_disk_keeps_the_snapshot(root_dir: Path) -> None:
    def body() -> None:
        with on_a_full_disk(root_dir, 8) as store:
            store.snapshots.prepare("jar", [])
            upper = Path(store.snapshots.upper("jar"))
            (upper / "file").write_bytes(bytes(5 << 20))
            for move in (False, True):
                with pytest.raises(OSError, match="No space left"):
                    store.snapshots.commit("jar", move=move)
                assert (upper / "file").stat().st_size == 5 << 20
                assert store.blobs.list() == []
                assert store.layers.list() == []
            store.snapshots.remove("jar")
            with pytest.raises(SnapshotNotFound):
                store.snapshots.load("jar")

    run_in_child(body, "mount")


def test_what_was_half_made_of_a_store_goes_when_it_is_made(root_dir: Path) -> None:
    root = root_dir / "store"
    root.mkdir(mode=0o700)
    (root / ".0123456789abcdef").write_bytes(b"1")  # killed before it was renamed to `schema`
    with Store(str(root)) as store:
        require_consistent(store)
