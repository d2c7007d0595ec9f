"""References: what index.json says, and what other tools may have written into it."""

import json
from pathlib import Path

import pytest

from onggi.errors import Corrupt, NotFound
from onggi.oci.descriptor import Descriptor
from onggi.oci.media_types import OCI_MANIFEST
from onggi.oci.reference import Reference
from onggi.store.references import NAME
from onggi.store.store import Store
from support.parallel import in_parallel
from support.threats import withstands

BUSYBOX = Reference.parse("busybox")
OTHER = Reference.parse("busybox:1.36")


def image(store: Store, contents: bytes) -> Descriptor:
    """Put something that is as good as a manifest here."""
    store.blobs.put(contents)
    return Descriptor.of(contents, OCI_MANIFEST)


def test_a_name_means_what_it_was_set_to(root_dir: Path) -> None:
    with Store(str(root_dir)) as store:
        assert store.references.get(BUSYBOX) is None
        one = image(store, b"{}")
        store.references.set(BUSYBOX, one)
        assert store.references.get(BUSYBOX) == one
        assert store.references.get("docker.io/library/busybox:latest") == one
        assert store.references.list() == [(BUSYBOX, one)]


def test_the_annotation_is_the_canonical_name(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.references.set(BUSYBOX, image(store, b"{}"))
    entry = json.loads((root_dir / "index.json").read_bytes())["manifests"][0]
    assert entry["annotations"] == {NAME: "docker.io/library/busybox:latest"}
    assert json.loads((root_dir / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_an_image_that_loses_its_name_stays(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        old, new = image(store, b"{1}"), image(store, b"{2}")
        store.references.set(BUSYBOX, old)
        store.references.set(BUSYBOX, new)
        assert store.references.list() == [(None, old), (BUSYBOX, new)]
        store.references.set(OTHER, old)
        assert store.references.list() == [(BUSYBOX, new), (OTHER, old)]
        store.references.set(BUSYBOX, old)
        assert store.references.list() == [(None, new), (OTHER, old), (BUSYBOX, old)]


def test_setting_again_changes_nothing(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        one = image(store, b"{}")
        for _ in range(2):
            store.references.set(BUSYBOX, one)
            store.references.set(None, one)
        assert store.references.list() == [(BUSYBOX, one)]


def test_delete_and_forget(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        one = image(store, b"{}")
        store.references.set(BUSYBOX, one)
        store.references.set(OTHER, one)
        assert store.references.delete(OTHER)
        assert not store.references.delete(OTHER)
        assert store.references.list() == [(BUSYBOX, one)]
        assert store.references.forget(one.digest)
        assert not store.references.forget(one.digest)
        assert store.references.list() == []


def test_what_is_not_here_gets_no_name(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store, pytest.raises(NotFound):
        store.references.set(BUSYBOX, Descriptor.of(b"elsewhere", OCI_MANIFEST))


def test_entries_of_other_tools_are_kept_and_understood(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        one = image(store, b"{}")
        theirs = {**one.to_json(), "annotations": {NAME: "busybox"}, "x-theirs": [1]}
        odd = {**one.to_json(), "digest": image(store, b"{odd}").digest}
        odd["annotations"] = {NAME: "Not A Reference"}
        index = {"schemaVersion": 2, "manifests": [theirs, odd], "x-more": True}
        (root_dir / "index.json").write_text(json.dumps(index))
        assert [name for name, _ in store.references.list()] == [BUSYBOX, None]
        assert store.references.get(BUSYBOX) is not None
        store.references.set(OTHER, one)
    index = json.loads((root_dir / "index.json").read_bytes())
    assert index["x-more"] is True
    assert index["manifests"][:2] == [theirs, odd]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"manifests": [1]}', '{"manifests": {}}'])
def test_a_damaged_index_is_said_to_be(root_dir: Path, text: str) -> None:
    with Store(str(root_dir), durable=False) as store:
        (root_dir / "index.json").write_text(text)
        with pytest.raises(Corrupt):
            store.references.list()


@withstands("at once", "many commands on one store at once")
def test_no_name_is_lost_when_many_are_set_at_once(root_dir: Path) -> None:
    def name_many(worker: int) -> None:
        with Store(str(root_dir), durable=False) as store:
            for number in range(20):
                one = image(store, b"{%d}" % worker)
                store.references.set(Reference.parse(f"image-{worker}:{number}"), one)

    in_parallel(4, name_many)
    with Store(str(root_dir), durable=False) as store:
        assert len(store.references.list()) == 80
