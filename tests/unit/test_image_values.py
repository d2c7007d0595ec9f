"""Images in memory: made, changed, chosen from an index; moments; compressed streams."""

import bz2
import gzip
import io
import lzma

import pytest

from onggi.errors import Corrupt
from onggi.image.assembly import assemble
from onggi.image.compression import decompressed_chunks
from onggi.image.images import Image, Layer, PlatformNotFound, select
from onggi.image.moments import rfc3339, seconds_since_1970
from onggi.oci import media_types
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.image import ImageConfig, Index
from onggi.oci.platform import Platform
from onggi.store.decompress import compression_of_bytes
from onggi.store.tar_limits import ArchiveRefused, Limits
from support.images import CREATED, Made


def layer(data: bytes) -> Layer:
    return Layer(Descriptor.of(data, media_types.OCI_LAYER), Digest.of(data))


def test_the_same_parts_make_the_same_image() -> None:
    one, other = Made({"a": b"1"}).image, Made({"a": b"1"}).image
    assert one == other
    assert one.id == Digest.of(one.config.to_bytes()) == one.manifest.config.digest
    assert one.descriptor.digest == Digest.of(one.manifest.to_bytes())
    assert (one.created, len(one.layers)) == (CREATED, 1)
    assert Made({"a": b"2"}).image != one


def test_an_image_of_nothing() -> None:
    image = assemble(ImageConfig.of(Platform("linux", "amd64")), [])
    assert (image.layers, image.diff_ids, image.created) == ((), (), "")
    with pytest.raises(Corrupt):
        assemble(image.config, [layer(b"tar")])


def entry(platform: str) -> Descriptor:
    return Descriptor.of(platform.encode(), media_types.OCI_MANIFEST).with_platform(
        Platform.parse(platform)
    )


@pytest.mark.parametrize(
    ("offered", "wanted", "chosen"),
    [
        (["linux/arm64", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/amd64/v3", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/amd64", "linux/amd64/v3"], "linux/amd64/v3", "linux/amd64/v3"),
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", "linux/arm/v7"),
        (["linux/arm/v6", "linux/arm/v5"], "linux/arm/v7", "linux/arm/v6"),
        (["linux/arm64/v8"], "linux/arm64", "linux/arm64"),
        (["linux/386"], "linux/amd64", "linux/386"),
    ],
)
def test_choosing_from_an_index(offered: list[str], wanted: str, chosen: str) -> None:
    found = select(Index.of(tuple(map(entry, offered))), Platform.parse(wanted))
    assert str(found.platform) == chosen


def test_an_index_without_the_platform() -> None:
    index = Index.of((entry("linux/arm64"), entry("windows/amd64")))
    with pytest.raises(PlatformNotFound) as caught:
        select(index, Platform.parse("linux/amd64"))
    assert caught.value.offered == ["linux/arm64", "windows/amd64"]
    unnamed = entry("linux/s390x").with_platform(None)
    assert select(Index.of((entry("linux/arm64"), unnamed)), Platform.parse("amd64")) == unnamed


def test_images_are_values() -> None:
    image = Made({"a": b"1"}).image
    assert len({image, Image(image.manifest, image.config)}) == 1
    assert len({layer(b"x"), layer(b"x"), layer(b"y")}) == 2
    assert repr(image) == f"<image {image.id}>"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2024-01-01T00:00:00Z", 1704067200.0),
        ("2024-01-01T01:00:00+01:00", 1704067200.0),
        ("2024-01-01T00:00:00.5Z", 1704067200.5),
        ("2024-01-01T00:00:00.123456789Z", 1704067200.123456),
        ("", None),
        ("yesterday", None),
    ],
)
def test_moments(text: str, seconds: float | None) -> None:
    assert seconds_since_1970(text) == seconds
    if text.endswith("00Z") and seconds is not None:
        assert rfc3339(seconds) == text


TEXT = b"onggi" * 100_000
PACKED = {
    "": TEXT,
    "gzip": gzip.compress(TEXT),
    "bzip2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
}


class Trickle(io.RawIOBase):
    """A stream that gives one byte at first, as a slow pipe may, and cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(1 if self._file.tell() < 10 else size)


@pytest.mark.parametrize("compression", PACKED)
def test_streams_of_unknown_compression(compression: str) -> None:
    data = PACKED[compression]
    assert compression_of_bytes(data[:6]) == compression
    for stream in (io.BytesIO(data), Trickle(data)):
        assert b"".join(decompressed_chunks(stream)) == TEXT  # type: ignore[arg-type]


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "xz"])
def test_damaged_streams(compression: str) -> None:
    for data in (PACKED[compression][:-20], PACKED[compression][:20] + b"\xff" * 50):
        with pytest.raises(Corrupt, match=f"damaged {compression} stream"):
            list(decompressed_chunks(io.BytesIO(data)))


@pytest.mark.parametrize("compression", PACKED)
def test_bombs(compression: str) -> None:
    with pytest.raises(ArchiveRefused, match="more than 1000 bytes"):
        list(decompressed_chunks(io.BytesIO(PACKED[compression]), Limits(total_bytes=1000)))
