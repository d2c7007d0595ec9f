"""Garbage collection: what is named stays, beside anybody who works at the same moment."""

import json
import os
import subprocess
from pathlib import Path

from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from onggi.store.collect import collect
from onggi.store.store import Store
from support.layers import archive, unpack
from support.parallel import in_parallel
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "openat2")


def put_image(store: Store, *layers: bytes) -> Descriptor:
    """Store an image's blobs and unpack its layers; nothing has its name yet."""
    diff_ids = [unpack(store, layer) for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    blobs = [json.dumps(config).encode(), *layers]
    types = [OCI_CONFIG, *[OCI_LAYER] * len(layers)]
    found = [Descriptor.of(blob, kind) for blob, kind in zip(blobs, types, strict=True)]
    for blob in blobs:
        store.blobs.put(blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": found[0].to_json(),
        "layers": [each.to_json() for each in found[1:]],
    }
    data = json.dumps(manifest).encode()
    store.blobs.put(data)
    return Descriptor.of(data, OCI_MANIFEST)


@requires("skopeo")
def test_skopeo_reads_the_store(root_dir: Path) -> None:
    with Store(str(root_dir)) as store:
        image = put_image(store, archive(("etc/motd", b"hello")))
        store.references.set("docker.io/library/hello:latest", image)
    command = ["skopeo", "inspect", f"oci:{root_dir}:docker.io/library/hello:latest"]
    shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert shown["Digest"] == image.digest
    assert len(shown["Layers"]) == 1


def test_an_image_goes_with_its_last_entry(root_dir: Path) -> None:
    shared, own = archive(("shared", b"1")), archive(("own", b"2"))
    with Store(str(root_dir), durable=False) as store:
        with store.lease():
            store.references.set("docker.io/a/a:1", put_image(store, shared))
            other = put_image(store, shared, own)
            store.references.set("docker.io/b/b:1", other)
        assert collect(store).blobs == []
        store.references.delete("docker.io/b/b:1")
        gone = collect(store)
        assert gone.layers == [Digest.of(own)]
        assert set(gone.blobs) >= {other.digest, Digest.of(own)}
        assert gone.size > len(own)
        assert store.layers.list() == [Digest.of(shared)]
        assert len(store.blobs.list()) == 3
        store.references.delete("docker.io/a/a:1")
        collect(store)
        assert store.blobs.list() == []
        assert store.layers.list() == []


def test_what_keeps_things(root_dir: Path) -> None:
    layers = [archive((name, b"")) for name in "abcde"]
    with Store(str(root_dir), durable=False) as store:
        with store.lease():
            in_snapshot, in_record, in_cache, leased, asked = (
                unpack(store, layer) for layer in layers
            )
            store.snapshots.prepare("jar", [in_snapshot])
            store.containers.create("jar", "jar", {})
            store.containers.create("pot", "pot", {"image": in_record})
            steps = root_dir / "cache" / "build" / "steps"
            steps.mkdir(parents=True)
            (steps / "1.json").write_text(json.dumps({"diffID": in_cache}))
            (root_dir / "cache" / "build" / "other.json").write_text(f'"{leased}"')
        with store.lease() as lease:
            lease.hold(leased)
            collect(store, keep=[asked])
            assert set(store.layers.list()) == {in_snapshot, in_record, in_cache, leased, asked}
        collect(store)
        assert set(store.layers.list()) == {in_snapshot, in_record, in_cache}
        store.containers.delete("jar")
        store.containers.delete("pot")
        (steps / "1.json").unlink()
        collect(store)
        assert store.layers.list() == []


def test_what_the_forgetful_publish_stays_until_they_close(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        digest = store.blobs.put(b"no lease")
        with Store(str(root_dir), durable=False) as other:
            collect(other)
        assert store.blobs.has(digest)
    with Store(str(root_dir), durable=False) as store:
        assert collect(store).blobs == [digest]


def test_snapshots_of_the_dead_go_and_those_of_the_living_stay(root_dir: Path) -> None:
    child = os.fork()
    if child == 0:
        store = Store(str(root_dir), durable=False)
        for key in ("dead", "kept"):
            store.snapshots.prepare(key, [])
        store.containers.create("kept", "kept", {})
        os._exit(0)
    os.waitpid(child, 0)
    with Store(str(root_dir), durable=False) as store:
        store.snapshots.prepare("living", [])
        assert collect(store).snapshots == ["dead"]
        assert sorted(os.listdir(root_dir / "containers")) == ["kept", "living"]


def test_repairs_go_with_their_chains(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        with store.lease():
            chain = [unpack(store, archive(("a/b", b""))), unpack(store, archive(("a/c", b"")))]
            store.snapshots.prepare("jar", chain)
        collect(store)
        assert len(os.listdir(root_dir / "repairs")) == 1
        store.snapshots.remove("jar")
        collect(store)
        assert os.listdir(root_dir / "repairs") == []


@withstands("at once", "many commands on one store at once")
def test_nobody_loses_what_they_hold(root_dir: Path) -> None:
    """Load, prepare, tag, remove, while others collect all the time."""

    def work(worker: int) -> None:
        with Store(str(root_dir), durable=False) as store:
            for number in range(15):
                if worker < 2:
                    collect(store)
                else:
                    load_and_use(store, f"{worker}-{number}", archive((f"{number}", b"x")))

    in_parallel(5, work)
    with Store(str(root_dir), durable=False) as store:
        collect(store)
        assert store.blobs.list() == []
        assert store.layers.list() == []
        assert os.listdir(root_dir / "containers") == []
        assert os.listdir(root_dir / "locks") != []


def load_and_use(store: Store, key: str, layer: bytes) -> None:
    """Do what `load`, `run --rm` and `rmi` do; two workers load the same layers."""
    with store.lease():
        image = put_image(store, layer)
        store.references.set(f"docker.io/x/x:{key}", image)
    store.snapshots.prepare(key, [Digest.of(layer)])
    store.containers.create(key, key, {"image": image.digest})
    store.references.delete(f"docker.io/x/x:{key}")
    assert os.listdir(store.snapshots.stack(key)[1])
    store.blobs.read(image.digest)
    store.containers.delete(key)


@withstands("at once", "many commands on one store at once")
def test_one_layer_unpacked_by_many_at_once(root_dir: Path) -> None:
    layer = archive(*((f"dir/{number}", b"x" * number) for number in range(300)))

    def work(_worker: int) -> None:
        with Store(str(root_dir), durable=False) as store, store.lease():
            assert len(os.listdir(store.layers.path(unpack(store, layer)) + "/dir")) == 300

    in_parallel(6, work)
    with Store(str(root_dir), durable=False) as store:
        assert store.layers.list() == [Digest.of(layer)]
        assert set(os.listdir(store.locks)) <= {"index", "collect"}
