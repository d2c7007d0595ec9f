"""What archives offer, read from memory; what is stored of it is tests/integration's."""

import contextlib
import gzip
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.errors import Corrupt, InvalidInput, OnggiError, Unsupported
from onggi.image.archive_members import MemberNotFound
from onggi.image.archive_offers import Offer, offers
from onggi.image.archive_tar import TarMembers
from onggi.image.images import PlatformNotFound
from onggi.oci.digest import Digest
from onggi.oci.image import Index
from onggi.oci.platform import Platform
from support.images import Files, Made, blob_name, docker_archive, layout, tar_of
from support.threats import withstands

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
ONE = Made({"one": b"1"})
TWO = Made({"one": b"1"}, {"two": b"2"}, compressed=True)
ARM = Made({"one": b"1"}, platform=ARM64)


def read(files: Files, platform: Platform | None = None) -> list[Offer]:
    return offers(TarMembers(io.BytesIO(tar_of(files))), platform)


def names(offer: Offer) -> list[str]:
    return [reference.familiar for reference in offer.references]


def test_an_oci_archive() -> None:
    one, two = read(layout(ONE, TWO, names=("example.com/one:1", "two:2")))
    assert (names(one), names(two)) == (["example.com/one:1"], ["two:2"])
    assert one.manifest == ONE.image.manifest
    assert two.config == TWO.image.config
    assert [layer.member for layer in two.layers] == [
        blob_name(Digest.of(blob)) for blob in TWO.blobs
    ]
    assert [layer.diff_id for layer in two.layers] == [Digest.of(tar) for tar in TWO.tars]
    assert [layer.descriptor for layer in two.layers] == list(TWO.image.manifest.layers)


def test_a_docker_archive() -> None:
    one, two = read(docker_archive(ONE, TWO, tags=(["one", "other:1"], [])))
    assert (names(one), names(two)) == (["one:latest", "other:1"], [])
    assert one.manifest is None
    assert one.config.to_bytes() == ONE.image.config.to_bytes()
    assert [layer.diff_id for layer in two.layers] == list(TWO.image.diff_ids)
    assert all(layer.descriptor is None for layer in two.layers)


def test_an_archive_that_is_both_keeps_its_manifests() -> None:
    (offer,) = read(docker_archive(ONE, tags=[["ignored"]]) | layout(ONE, names=["a:1"]))
    assert (offer.manifest, names(offer)) == (ONE.image.manifest, ["a:1"])


def test_the_same_image_under_two_names_is_one() -> None:
    (offer,) = read(layout(ONE, ONE, names=("a:1", "b:1")))
    assert names(offer) == ["a:1", "b:1"]


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        ("io.containerd.image.name", "docker.io/library/busybox:1", ["busybox:1"]),
        ("io.containerd.image.name", "busybox", ["busybox:latest"]),
        ("org.opencontainers.image.ref.name", "docker.io/library/busybox:1", ["busybox:1"]),
        ("org.opencontainers.image.ref.name", "a/b", ["a/b:latest"]),
        ("org.opencontainers.image.ref.name", "latest", []),
        ("org.opencontainers.image.ref.name", "3.7-rc1", []),
    ],
)
def test_where_names_come_from(key: str, name: str, expected: list[str]) -> None:
    (offer,) = read(layout(ONE, names=[name], key=key))
    assert names(offer) == expected


def indexed(*images: Made) -> Files:
    """Write a layout whose index.json refers to an index of images for several platforms."""
    files = layout(*images)
    inner = files["index.json"]
    entry = Index.from_bytes(inner).descriptor().with_annotations({"x": "y"})
    return {
        **files,
        blob_name(Digest.of(inner)): inner,
        "index.json": Index.of((entry,)).to_bytes(),
    }


def test_an_index_of_several_platforms() -> None:
    assert read(indexed(ONE, ARM), AMD64)[0].manifest == ONE.image.manifest
    assert read(indexed(ONE, ARM), ARM64)[0].manifest == ARM.image.manifest
    with pytest.raises(PlatformNotFound, match="no image for linux/riscv64, only for linux/amd64"):
        read(indexed(ONE, ARM), Platform("linux", "riscv64"))


def test_an_image_for_another_platform() -> None:
    (offer,) = read(indexed(ARM))
    assert offer.manifest == ARM.image.manifest  # nobody asked for another
    for files in (indexed(ARM), layout(ARM), docker_archive(ARM)):
        with pytest.raises(PlatformNotFound):
            read(files, AMD64)


@withstands("digests", "an image for another platform than it says")
def test_a_platform_that_lies_is_refused() -> None:
    files = layout(ARM)
    entry = ARM.image.descriptor.with_platform(AMD64)
    files["index.json"] = Index.of((entry,)).to_bytes()
    with pytest.raises(Corrupt, match="image listed as linux/amd64 is for linux/arm64"):
        read(files)


def test_attestations_are_no_images() -> None:
    files = layout(ONE)
    attached = ONE.image.descriptor.with_platform(Platform("unknown", "unknown"))
    inner = Index.of((attached, ONE.image.descriptor.with_platform(AMD64)))
    files[blob_name(inner.digest)] = inner.to_bytes()
    files["index.json"] = Index.of((inner.descriptor(),)).to_bytes()
    (offer,) = read(files)
    assert offer.manifest == ONE.image.manifest


def test_what_is_no_image_archive() -> None:
    with pytest.raises(InvalidInput, match="not an image archive"):
        read({"etc/passwd": b"root"})
    with pytest.raises(InvalidInput, match="not an image archive"):
        read({"index.json": b"{}"})
    with pytest.raises(Unsupported, match="before 1"):
        read({"repositories": b"{}"})
    with pytest.raises(InvalidInput, match="has no images"):
        read(layout())
    with pytest.raises(InvalidInput, match="has no images"):
        read({"manifest.json": b"[]"})


def changed_manifest_json(**changes: Any) -> Files:
    files = docker_archive(ONE, tags=[["one"]])
    (entry,) = json.loads(files["manifest.json"])
    files["manifest.json"] = json.dumps([{**entry, **changes}]).encode()
    return files


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"manifest.json": b"{}"}, "manifest.json is not a list"),
        ({"manifest.json": b"[1]"}, "manifest.json is not a JSON object"),
        ({"manifest.json": b"["}, "not valid JSON"),
        ({"manifest.json": b" " * (5 << 20)}, "more than the allowed"),
        ({"manifest.json": b"[" + b"{}," * 1500 + b"{}]"}, "lists 1501 images"),
        (changed_manifest_json(Config=7), "'Config' is not a string"),
        (changed_manifest_json(Config="../../etc/passwd"), "unsafe name"),
        (changed_manifest_json(Config="/etc/passwd"), "unsafe name"),
        (changed_manifest_json(Config="missing.json"), "archive has no 'missing.json'"),
        (changed_manifest_json(Layers=[]), "0 layers, the config 1"),
        (changed_manifest_json(Layers=["../../etc/passwd"]), "unsafe name"),
        (changed_manifest_json(RepoTags=["Upper"]), "names an image badly"),
        (changed_manifest_json(RepoTags="one"), "'RepoTags' is not a list"),
        (docker_archive(ONE, TWO, tags=[["a"], ["a"]]), "name a:latest to 2 images"),
        (layout(ONE, TWO, names=["a:1", "a:1"]), "name a:1 to 2 images"),
        (layout(ONE, names=["A:1"]), "names an image badly"),
        ({**layout(ONE), "index.json": b"[]"}, "not a JSON object"),
        ({**layout(ONE), "oci-layout": b"x" * (5 << 20)}, "more than the allowed"),
        ({**layout(ONE), "oci-layout": b"{}{}"}, "not valid JSON"),
    ],
)
@withstands("digests", "a document that is index and manifest at once, or has a key twice")
def test_hostile_documents(files: Files, complaint: str) -> None:
    with pytest.raises(Corrupt, match=complaint):
        read(files)


def test_another_version_of_the_layout() -> None:
    with pytest.raises(Unsupported, match=r"version '2\.0\.0' is not supported"):
        read({**layout(ONE), "oci-layout": b'{"imageLayoutVersion": "2.0.0"}'})


@withstands("digests", "a blob with another digest or size")
def test_documents_are_held_to_their_digests() -> None:
    for data in (ONE.image.manifest.to_bytes(), ONE.image.config.to_bytes()):
        files = layout(ONE)
        files[blob_name(Digest.of(data))] = data[:-1] + b" "
        with pytest.raises(Corrupt, match="of the archive has other contents"):
            read(files)
        del files[blob_name(Digest.of(data))]
        with pytest.raises(MemberNotFound):
            read(files)
    files = docker_archive(ONE)
    name = f"{ONE.image.id.hex}.json"
    files[name] = files[name] + b" "
    with pytest.raises(Corrupt, match="has other contents than its name says"):
        read(files)


@withstands("digests", "a blob with another digest or size")
def test_sizes_are_held_to_their_descriptors() -> None:
    files = layout(ONE)
    entry = {**ONE.image.descriptor.to_json(), "size": 1}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    with pytest.raises(Corrupt, match="bytes instead of 1"):
        read(files)


@withstands("digests", "a document that is index and manifest at once, or has a key twice")
def test_an_index_that_is_a_manifest_too_is_refused() -> None:
    both = {**ONE.image.manifest.to_json(), "manifests": [ONE.image.descriptor.to_json()]}
    data = json.dumps(both).encode()
    entry = {**ONE.image.descriptor.to_json(), "digest": Digest.of(data), "size": len(data)}
    files = {
        **layout(ONE),
        blob_name(Digest.of(data)): data,
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
    }
    with pytest.raises(Corrupt, match="belongs to another kind"):
        read(files)


@withstands("bombs", "indexes without end")
def test_indexes_without_end_are_refused() -> None:
    files = layout(ONE)
    for _ in range(5):
        inner = Index.from_bytes(files["index.json"])
        files[blob_name(inner.digest)] = inner.to_bytes()
        files["index.json"] = Index.of((inner.descriptor(),)).to_bytes()
    with pytest.raises(Corrupt, match="nests more than 4 deep"):
        read(files)


def test_a_layer_count_that_differs_is_refused() -> None:
    manifest = ONE.image.manifest.with_fields({"layers": []})
    files = layout(ONE)
    files[blob_name(manifest.digest)] = manifest.to_bytes()
    files["index.json"] = Index.of((manifest.descriptor(),)).to_bytes()
    with pytest.raises(Corrupt, match="has 0 layers, its config 1"):
        read(files)


def test_a_gzipped_document_is_no_document() -> None:
    with pytest.raises(Corrupt, match="not valid JSON"):
        read({"manifest.json": gzip.compress(b"[]")})


WHOLE = [
    tar_of(files)
    for files in (docker_archive(ONE, tags=[["a"]]), layout(ONE, names=["a:1"]), indexed(ONE, ARM))
]


@given(st.sampled_from(WHOLE), st.data())
def test_no_damage_surprises_us(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        # Mostly within the first members: headers, and the documents that are read.
        position = draw.draw(st.integers(0, min(len(data), 8192) - 1))
        damaged[position] = draw.draw(st.integers(0, 255))
    end = draw.draw(st.sampled_from([len(data), 700, 513, 512, 100]))
    with contextlib.suppress(OnggiError):
        offers(TarMembers(io.BytesIO(bytes(damaged[:end]))), None)
