"""Making a layer of what a snapshot's user has written.

The layer's archive is written once; hashing, compressing, storing the blob and, for a container
that goes on living, making the unpacked layer all happen as it streams by. A builder's snapshot
ends with its commit, so there the upper directory itself becomes the unpacked layer.
"""

from __future__ import annotations

import os
import stat

from onggi.errors import InvalidInput
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.media_types import OCI_LAYERS
from onggi.store.attributes import overlay_xattrs
from onggi.store.byte_source import ByteSource
from onggi.store.merge import Stack, opaque_name
from onggi.store.tar_limits import Limits
from onggi.store.tar_write import layer_archive
from onggi.store.trees import size
from onggi.store.unpack import extract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from onggi.store.blobs import BlobWriter
    from onggi.store.merge import View
    from onggi.store.owners import Owners
    from onggi.store.store import Store

_GZIP_WINDOW = 31
_GZIP_LEVEL = 6


def commit(
    store: Store,
    key: str,
    *,
    move: bool,
    compression: str,
    clamp_mtime: int | None,
    owners: Owners | None,
) -> tuple[Digest, Descriptor]:
    """Make a layer; see Snapshots.commit."""
    import hashlib

    if move and owners is not None:
        raise ValueError("a directory with owners to translate is copied, not moved")
    if compression not in ("", "gzip"):
        raise InvalidInput(f"layers cannot be compressed with {compression!r}", hint="use gzip")
    upper = store.snapshots.upper(key)
    states_root = store.snapshots.has_other_root(key, owners)
    if move:
        settle(upper, clamp_mtime)
    plain = hashlib.sha256()
    half_made = store.workshop.new_directory(0o755)
    try:
        with store.blobs.writer() as writer:
            chunks = layer_archive(upper, clamp_mtime=clamp_mtime, root=states_root, owners=owners)
            stored = _stored(_seen(chunks, plain.update), writer, compression)
            if move:
                for _ in stored:
                    pass  # the archive is only written; the layer is there already
            else:
                _unpack(stored, half_made)
            digest, blob_size = writer.commit()
        diff_id = Digest(f"sha256:{plain.hexdigest()}")
        if move:
            os.rename(upper, f"{half_made}/fs")
        tree_size = size(f"{half_made}/fs")
        store.layers.publish(half_made, diff_id, size=tree_size, root=states_root)
        if move:
            store.snapshots.remove(key)
    finally:
        store.workshop.remove(half_made)
    media_type = OCI_LAYERS[compression]
    return diff_id, Descriptor(media_type=media_type, digest=digest, size=blob_size)


def _seen(chunks: Iterator[bytes], see: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in chunks:
        see(chunk)
        yield chunk


def _stored(chunks: Iterator[bytes], writer: BlobWriter, compression: str) -> Iterator[bytes]:
    """Write the chunks to a blob as they pass."""
    if not compression:
        yield from _seen(chunks, writer.write)
        return
    import zlib

    compressor: Any = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for chunk in chunks:
        writer.write(compressor.compress(chunk))
        yield chunk
    writer.write(compressor.flush())


def _unpack(chunks: Iterator[bytes], half_made: str) -> None:
    """Make the layer's directory from its archive, while that is being written."""
    os.mkdir(f"{half_made}/fs")
    source = ByteSource(chunks)
    extract(source, f"{half_made}/fs", Limits(total_bytes=1 << 62))
    source.drain()


def settle(upper: str, clamp_mtime: int | None) -> None:
    """Turn an overlay upper directory, no longer mounted, into what its archive would unpack to.

    overlayfs's own notes and sockets go, and no file is younger than `clamp_mtime`. Doing it twice
    changes nothing more.
    """
    clamp_ns = None if clamp_mtime is None else clamp_mtime * 1_000_000_000
    with Stack([upper]) as stack:
        directories = [_settle_directory(view, clamp_ns) for view in stack.walk()]
        for path in reversed(directories):
            with stack.open(path, (0,)) as view:
                _clamp(b".", view.fd, os.fstat(view.fd), clamp_ns)


def _settle_directory(view: View, clamp_ns: int | None) -> bytes:
    _forget_overlay(view.fd)
    for found in view.entries():
        if stat.S_ISSOCK(found.status.st_mode):
            _keeping_time(view.fd, found.name)
        elif not found.is_directory and not found.is_whiteout:
            _forget_overlay(os.path.join(b"/proc/self/fd/%d" % view.fd, found.name))
            _clamp(found.name, view.fd, found.status, clamp_ns)
    return view.path


def _keeping_time(directory: int, name: bytes) -> None:
    """Remove a socket without making its directory younger."""
    before = os.fstat(directory)
    os.unlink(name, dir_fd=directory)
    os.utime(directory, ns=(before.st_mtime_ns, before.st_mtime_ns))


def _forget_overlay(place: int | bytes) -> None:
    for name in overlay_xattrs(place):
        if name != opaque_name():
            os.removexattr(place, name, follow_symlinks=isinstance(place, int))


def _clamp(name: bytes, directory: int, status: os.stat_result, clamp_ns: int | None) -> None:
    if clamp_ns is not None and status.st_mtime_ns > clamp_ns:
        os.utime(name, ns=(clamp_ns, clamp_ns), dir_fd=directory, follow_symlinks=False)
