"""Compressed streams as chunks of what is in them, with bounds on what comes out.

Layers are compressed with gzip or zstd, or not at all. What users hand over, to be loaded or
imported or added to an image, may be compressed with bzip2 or xz, too.

Source: RFC 1952 (gzip; members may follow one another), RFC 8878 (zstd; so may frames); the .xz
file format, 2 (streams may follow one another, with zeros between them).
"""

from __future__ import annotations

import zlib

from onggi.errors import Corrupt, Unsupported
from onggi.oci.media_types import LAYER_COMPRESSIONS
from onggi.store.tar_limits import ArchiveRefused, Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Any, BinaryIO

_CHUNK = 1 << 18
_OUTPUT = 1 << 20
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# Of a decoder: `xz -9` asks for 65 MiB, and a header of a few bytes may ask for 4 GiB.
_XZ_MEMORY_BYTES = 256 << 20
_MAGIC = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
}


def compression_of_type(media_type: str) -> str:
    """Tell how a layer of this media type is compressed: "", "gzip" or "zstd".

    Raises: Unsupported: it is not the media type of a layer that we can unpack.
    """
    try:
        return LAYER_COMPRESSIONS[media_type]
    except KeyError:
        raise Unsupported(f"{media_type!r} is not the media type of a layer") from None


def compression_of_bytes(beginning: bytes) -> str:
    """Tell from a stream's first bytes how it is compressed, "" if in no way known here."""
    return next((name for magic, name in _MAGIC.items() if beginning.startswith(magic)), "")


def decompressed(
    stream: BinaryIO, compression: str, limits: Limits
) -> Generator[bytes, None, None]:
    """Yield what is in a stream, up to its end.

    Raises: Corrupt; ArchiveRefused: too much comes out, or too much for what went in;
        Unsupported: nothing here can decompress it.
    """
    counted = _Counted(stream)
    total = 0
    for chunk in _DECODERS[compression](counted):
        total += len(chunk)
        if total > limits.total_bytes:
            raise ArchiveRefused(f"it has more than {limits.total_bytes} bytes")
        if total > limits.ratio_free_bytes and total > limits.ratio * counted.count:
            raise ArchiveRefused(
                f"{counted.count} compressed bytes became {total} and more, "
                f"{limits.ratio} times as many are allowed"
            )
        yield chunk


class _Counted:
    """Chunks of a stream, and how many bytes they were."""

    __slots__ = ("_stream", "count")

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._stream.read(_CHUNK):
            self.count += len(chunk)
            yield chunk


def _plain(chunks: _Counted) -> Iterator[bytes]:
    yield from chunks


def _gunzip(chunks: _Counted) -> Iterator[bytes]:
    member = zlib.decompressobj(_GZIP_WINDOW)
    begun = False
    for chunk in chunks:
        data = chunk
        while data:
            if member.eof:
                data = data.lstrip(b"\0")  # gzip(1) lets zeros fill up a tape's last block
                member, begun = zlib.decompressobj(_GZIP_WINDOW), False
                continue
            try:
                yield member.decompress(data, _OUTPUT)
            except zlib.error as error:
                raise Corrupt(f"damaged gzip stream: {error}") from error
            begun = True
            data = member.unconsumed_tail or member.unused_data
    if begun and not member.eof:
        raise Corrupt("damaged gzip stream: it ends too early")


def _unzstd(chunks: _Counted) -> Iterator[bytes]:
    from onggi.store.zstd import decompressed as zstd_decompressed

    return zstd_decompressed(chunks)


def _bunzip2(chunks: _Counted) -> Iterator[bytes]:
    import bz2

    return _by_module(chunks, "bzip2", bz2.BZ2Decompressor, OSError)


def _unxz(chunks: _Counted) -> Iterator[bytes]:
    import lzma

    def decoder() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)

    return _by_module(chunks, "xz", decoder, lzma.LZMAError)


def _by_module(
    chunks: _Counted, name: str, make: Callable[[], Any], failure: type[Exception]
) -> Iterator[bytes]:
    """Yield what is in streams that follow one another, a bounded piece at a time."""
    decoder = make()
    begun = False
    for chunk in chunks:
        data = chunk
        while data:
            if decoder.eof:
                data = data.lstrip(b"\0")
                decoder, begun = make(), False
                continue
            begun = True
            try:
                yield decoder.decompress(data, _OUTPUT)
                while not decoder.eof and not decoder.needs_input:
                    yield decoder.decompress(b"", _OUTPUT)
            except failure as error:
                raise Corrupt(f"damaged {name} stream: {error}") from error
            data = decoder.unused_data if decoder.eof else b""
    if begun and not decoder.eof:
        raise Corrupt(f"damaged {name} stream: it ends too early")


_DECODERS = {"": _plain, "gzip": _gunzip, "zstd": _unzstd, "bzip2": _bunzip2, "xz": _unxz}
