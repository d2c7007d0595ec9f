"""Blobs: visible only when whole and right."""

import hashlib
import os
from pathlib import Path

import pytest

from onggi.errors import Corrupt, InvalidInput
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.fingerprint import sha256_hex
from onggi.oci.media_types import OCI_LAYER
from onggi.store.blobs import BlobNotFound
from onggi.store.store import Store

WORDS = b"onggi keeps its contents and still breathes"


def test_what_was_put_is_read(root_dir: Path) -> None:
    with Store(str(root_dir)) as store:
        digest = store.blobs.put(WORDS)
        assert digest == Digest.of(WORDS)
        assert store.blobs.read(digest) == WORDS
        assert store.blobs.size(digest) == len(WORDS)
        assert store.blobs.list() == [digest]
        with store.blobs.open(digest) as blob:
            assert blob.read() == WORDS


def test_putting_twice_is_fine(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        assert store.blobs.put(WORDS) == store.blobs.put(WORDS)
        assert len(store.blobs.list()) == 1


def test_nothing_is_visible_before_the_commit(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        with store.blobs.writer() as writer:
            writer.write(WORDS)
            assert not store.blobs.has(writer.digest)
        assert store.blobs.list() == []
        assert os.listdir(store.workshop.path) == []


@pytest.mark.parametrize(
    ("digest", "size"),
    [(Digest.of(b"other"), len(WORDS)), (Digest.of(WORDS), len(WORDS) - 1)],
    ids=["digest", "size"],
)
def test_what_is_not_as_expected_is_refused(root_dir: Path, digest: Digest, size: int) -> None:
    expected = Descriptor(media_type=OCI_LAYER, digest=digest, size=size)
    with Store(str(root_dir), durable=False) as store:
        with store.blobs.writer() as writer:
            writer.write(WORDS)
            with pytest.raises(Corrupt):
                writer.commit(expected)
        assert store.blobs.list() == []


def test_sha512_has_its_own_directory(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store, store.blobs.writer("sha512") as writer:
        writer.write(WORDS)
        digest, size = writer.commit()
        assert digest == f"sha512:{hashlib.sha512(WORDS).hexdigest()}"
        assert size == len(WORDS)
        assert store.blobs.read(digest) == WORDS


def test_bytes_that_rotted_are_noticed(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        digest = store.blobs.put(WORDS)
        Path(store.blobs.path(digest)).write_bytes(WORDS.upper())
        with pytest.raises(Corrupt):
            store.blobs.read(digest)
        with pytest.raises(Corrupt):
            store.blobs.verify(digest)
        store.blobs.put(WORDS)
        store.blobs.verify(digest)


def test_a_document_may_not_be_huge(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        digest = store.blobs.put(WORDS)
        assert store.blobs.read(digest, limit=len(WORDS)) == WORDS
        with pytest.raises(InvalidInput):
            store.blobs.read(digest, limit=len(WORDS) - 1)


def test_what_is_not_there(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        missing = Digest.of(b"missing")
        assert not store.blobs.has(missing)
        assert not store.blobs.delete(missing)
        for look in (store.blobs.read, store.blobs.open, store.blobs.size, store.blobs.verify):
            with pytest.raises(BlobNotFound):
                look(missing)


def test_the_quick_hash_is_sha256() -> None:
    assert sha256_hex(WORDS) == hashlib.sha256(WORDS).hexdigest()
