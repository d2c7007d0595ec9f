"""Blobs: bytes by digest, the `blobs/` of an OCI image layout.

Source: image-spec image-layout.md, "Blobs".
"""

from __future__ import annotations

import os

from onggi.errors import Corrupt, InvalidInput, NotFound
from onggi.oci.digest import Digest
from onggi.oci.fingerprint import sha256_hex
from onggi.store.atomic import sync_directory, unlink_if_exists, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO, Self

    from onggi.oci.descriptor import Descriptor
    from onggi.store.leases import Leases
    from onggi.store.workshop import Workshop

# Manifests, indexes and configurations; what registries accept, too.
DOCUMENT_LIMIT = 4 << 20
_CHUNK = 1 << 20


class BlobNotFound(NotFound):
    """No blob has this digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"no such blob: {digest}")
        self.digest = digest


class Blobs:
    """The blobs of a store.

    A blob that can be seen is whole and was verified when it was written; only the store's owner
    can write where it lies.
    """

    __slots__ = ("_durable", "_leases", "_root", "_workshop")

    def __init__(
        self, root: str, workshop: Workshop, leases: Leases, *, durable: bool = True
    ) -> None:
        self._root = f"{root}/blobs"
        self._workshop = workshop
        self._leases = leases
        self._durable = durable

    def path(self, digest: Digest) -> str:
        """Return where the blob lies, or would lie."""
        return f"{self._root}/{digest.algorithm}/{digest.hex}"

    def has(self, digest: Digest) -> bool:
        """Tell whether the blob is here; a lease that is held keeps it here."""
        self._leases.met(digest)
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes.

        Raises: BlobNotFound
        """
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise BlobNotFound(digest) from None

    def open(self, digest: Digest) -> BinaryIO:
        """Open the blob for reading; the caller closes it.

        Nothing is verified: unpacking checks the diff ID, `read` and `verify` the digest.

        Raises: BlobNotFound
        """
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            raise BlobNotFound(digest) from None

    def read(self, digest: Digest, limit: int = DOCUMENT_LIMIT) -> bytes:
        """Return a small blob's bytes, verified.

        Raises:
            BlobNotFound: it is not here.
            InvalidInput: it has more than `limit` bytes; no more are read.
            Corrupt: the bytes are not those that the digest names.
        """
        with self.open(digest) as blob:
            data = blob.read(limit + 1)
        if len(data) > limit:
            raise InvalidInput(f"blob {digest} is larger than the {limit} bytes allowed here")
        if _digest_of_document(digest.algorithm, data) != digest:
            raise Corrupt(f"blob {digest} has other contents on disk", hint="fetch it again")
        return data

    def verify(self, digest: Digest) -> None:
        """Read a blob of any size and compare.

        Raises: BlobNotFound, Corrupt
        """
        import hashlib

        found = hashlib.new(digest.algorithm)
        with self.open(digest) as blob:
            while chunk := blob.read(_CHUNK):
                found.update(chunk)
        if found.hexdigest() != digest.hex:
            raise Corrupt(f"blob {digest} has other contents on disk", hint="fetch it again")

    def put(self, data: bytes) -> Digest:
        """Store these bytes; success means that they are here, whoever wrote them."""
        with self.writer() as writer:
            writer.write(data)
            return writer.commit()[0]

    def writer(self, algorithm: str = "sha256") -> BlobWriter:
        """Return a writer, to be used in a `with` statement."""
        return BlobWriter(self, algorithm)

    def delete(self, digest: Digest) -> bool:
        """Remove the blob; tell whether it was here."""
        return unlink_if_exists(self.path(digest))

    def list(self) -> list[Digest]:
        """Return the digests of all blobs, sorted."""
        return sorted(
            Digest(f"{algorithm}:{name}")
            for algorithm in os.listdir(self._root)
            for name in os.listdir(f"{self._root}/{algorithm}")
        )

    def begin(self) -> tuple[str, int]:
        """Open a half-made blob: its path and a descriptor, both the caller's."""
        path = self._workshop.new_name()
        return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def publish(self, half_made: str, fd: int, digest: Digest) -> None:
        """Put a half-made blob, written through `fd`, into its place."""
        if self._durable:
            os.fsync(fd)
        place = self.path(digest)
        with self._leases.publishing():
            self._leases.published(digest)
            try:
                os.rename(half_made, place)
            except FileNotFoundError:  # the first of its algorithm
                os.makedirs(os.path.dirname(place), 0o700, exist_ok=True)
                os.rename(half_made, place)
        if self._durable:
            sync_directory(os.path.dirname(place))


class BlobWriter:
    """Bytes on their way to become a blob; nothing is visible before `commit`.

    Leaving the `with` statement without a commit throws the bytes away.
    """

    __slots__ = ("_blobs", "_fd", "_hash", "_path", "size")

    def __init__(self, blobs: Blobs, algorithm: str) -> None:
        import hashlib

        self._blobs = blobs
        self._hash = hashlib.new(algorithm)
        self._path, self._fd = blobs.begin()
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append; return how many bytes that were, as a file's `write` does."""
        self._hash.update(data)
        write_all(self._fd, data)
        self.size += len(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        """The digest of what has been written so far."""
        return Digest(f"{self._hash.name}:{self._hash.hexdigest()}")

    def commit(self, expected: Descriptor | None = None) -> tuple[Digest, int]:
        """Make the blob visible and durable under its digest; return digest and size.

        Raises: Corrupt: size or digest are not the expected ones; nothing becomes visible.
        """
        digest = self.digest
        if expected is not None:
            self._require(digest, expected)
        self._blobs.publish(self._path, self._fd, digest)
        self.close()
        return digest, self.size

    def close(self) -> None:
        """Throw away what was not committed; closing twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            unlink_if_exists(self._path)

    def _require(self, digest: Digest, expected: Descriptor) -> None:
        if self.size != expected.size:
            raise Corrupt(
                f"blob {expected.digest} has {self.size} bytes instead of {expected.size}"
            )
        if digest != expected.digest:
            raise Corrupt(f"blob {expected.digest} arrived with digest {digest}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _digest_of_document(algorithm: str, data: bytes) -> Digest:
    if algorithm == "sha256":
        return Digest(f"sha256:{sha256_hex(data)}")
    return Digest.of(data, algorithm)
