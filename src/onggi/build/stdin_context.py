"""A context that comes as a tar archive on standard input, as in ``tar c . | onggi build -``.

Whether it is one, or a Dockerfile, only its first bytes tell. It is unpacked into a private place
by the same code as an image's layer, so nothing in it leads out of there; its Dockerfile and its
ignore file are looked up inside too.

Source: docker/cli, cli/command/image/build/context.go (DetectContextFromReader, IsArchive).
"""

from __future__ import annotations

import io
import os

from onggi.build.archive import unpack_stream
from onggi.build.copying import Attributes, Destination
from onggi.build.errors import BuildError
from onggi.linux.fd import Fd
from onggi.store import tar_header
from onggi.store.decompress import compression_of_bytes
from onggi.store.tar_limits import BadArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


class Beginning:
    """Standard input with its first bytes read; they are part of what `stream` yields."""

    __slots__ = ("_head", "_rest")

    def __init__(self, stdin: BinaryIO) -> None:
        self._head = _whole_block(stdin)
        self._rest = stdin

    @property
    def is_archive(self) -> bool:
        """Whether it is a tar, or compressed, as only a tar would be."""
        head = self._head
        if compression_of_bytes(head):
            return True
        return len(head) == tar_header.BLOCK and _is_header(head)

    def stream(self) -> io.BufferedReader:
        """Return all of it, to be read once."""
        return io.BufferedReader(_Joined(self._head, self._rest), 1 << 18)


def _whole_block(stdin: BinaryIO) -> bytes:
    """Read as much as a tar's header has; a pipe may give it in pieces."""
    head = b""
    while len(head) < tar_header.BLOCK:
        piece = stdin.read(tar_header.BLOCK - len(head))
        if not piece:
            break
        head += piece
    return head


def _is_header(block: bytes) -> bool:
    try:
        tar_header.require_checksum(block)
    except BadArchive:
        return False
    return True


class _Joined(io.RawIOBase):
    """Bytes that were read already, and then the rest."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(data) :] if self._head else b""
        buffer[: len(data)] = data
        return len(data)


def unpack_context(stream: io.BufferedReader, directory: str) -> None:
    """Unpack a context's archive into an empty directory.

    Raises: BuildError: it is no tar, damaged or unsafe.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with Fd(os.open(directory, flags)) as root:
        destination = Destination(root.fileno(), Attributes())
        if not unpack_stream(stream, "the context's archive", destination, "/"):
            raise BuildError(
                "standard input is neither a Dockerfile nor a tar archive of a context"
            )
