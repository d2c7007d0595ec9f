"""Layers: each unpacked once, under its diff ID alone, whatever images stack it on whatever.

`layers/<hex>/` holds `fs/`, a directory that overlayfs can have as a lower one, and beside it

    size      bytes of its files, as text
    root      (empty) present if the layer's archive stated attributes of the root directory
    implied   present if the archive left out directories on the way to its files: their paths,
              NUL-terminated; their attributes are not the layer's to say (see repairs.py)
    left-out  present if the archive has device nodes that could not be made: their paths,
              NUL-terminated

so that one listing of the directory tells everything about a usual layer.
"""

from __future__ import annotations

import os

from onggi.errors import NotFound
from onggi.oci.digest import Digest
from onggi.store.atomic import read_file, sync_directory, unlink_if_exists, write_new
from onggi.store.locks import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from onggi.store.leases import Leases
    from onggi.store.tar_limits import Limits
    from onggi.store.workshop import Workshop

# 127 such links below /var/lib/onggi, Docker's limit of layers, fit into a page of mount options.
_SHORT_NAME = 10
_ALGORITHMS = {64: "sha256", 128: "sha512"}


class LayerNotFound(NotFound):
    """No layer with this diff ID is unpacked here."""

    def __init__(self, diff_id: str) -> None:
        super().__init__(f"no such layer: {diff_id}", hint="it must be unpacked first")
        self.diff_id = diff_id


class Layers:
    """The unpacked layers of a store; one that can be seen is whole, and never changes."""

    __slots__ = ("_durable", "_leases", "_locks", "_root", "_short", "_workshop")

    def __init__(
        self, root: str, workshop: Workshop, leases: Leases, *, durable: bool = True
    ) -> None:
        self._root = f"{root}/layers"
        self._short = f"{root}/l"
        self._locks = f"{root}/locks"
        self._workshop = workshop
        self._leases = leases
        self._durable = durable

    def path(self, diff_id: Digest) -> str:
        """Return the overlay lower directory, whether it exists or not."""
        return f"{self._root}/{diff_id.hex}/fs"

    def short_path(self, diff_id: Digest) -> str:
        """Return a link to `path` with a short name, making it if need be.

        Mount options must fit in a page, so the paths of a hundred layers must be short.
        """
        link = f"{self._short}/{diff_id.hex[:_SHORT_NAME]}"
        target = f"../layers/{diff_id.hex}/fs"
        try:
            os.symlink(target, link)
        except FileExistsError:
            if os.readlink(link) != target:  # another layer begins with the same digits
                return self.path(diff_id)
        return link

    def has(self, diff_id: Digest) -> bool:
        """Tell whether the layer is here; a lease that is held keeps it here."""
        self._leases.met(diff_id)
        return os.path.isdir(self.path(diff_id))

    def notes(self, diff_id: Digest) -> frozenset[str]:
        """Return which notes lie beside the layer: `size`, perhaps `root` and `implied`.

        Raises: LayerNotFound
        """
        try:
            return frozenset(os.listdir(f"{self._root}/{diff_id.hex}"))
        except FileNotFoundError:
            raise LayerNotFound(diff_id) from None

    def implied(self, diff_id: Digest) -> frozenset[bytes]:
        """Return the directories that the layer has, but says nothing about.

        Raises: LayerNotFound
        """
        return self._listed(diff_id, "implied")

    def left_out(self, diff_id: Digest) -> frozenset[bytes]:
        """Return the device nodes that the layer's archive has, and its directory has not.

        Raises: LayerNotFound
        """
        return self._listed(diff_id, "left-out")

    def _listed(self, diff_id: Digest, note: str) -> frozenset[bytes]:
        if note not in self.notes(diff_id):
            return frozenset()
        return frozenset(read_file(f"{self._root}/{diff_id.hex}/{note}").split(b"\0")[:-1])

    def size(self, diff_id: Digest) -> int:
        """Return the bytes that the layer's files hold, unpacked.

        Raises: LayerNotFound
        """
        try:
            return int(read_file(f"{self._root}/{diff_id.hex}/size"))
        except FileNotFoundError:
            raise LayerNotFound(diff_id) from None

    def list(self) -> list[Digest]:
        """Return the diff IDs of all layers, sorted."""
        return sorted(Digest(f"{_ALGORITHMS[len(name)]}:{name}") for name in os.listdir(self._root))

    def unpack(
        self, stream: BinaryIO, media_type: str, diff_id: Digest, *, limits: Limits | None = None
    ) -> None:
        """Unpack a layer's archive; success means that the layer is here, whoever unpacked it.

        Only as much of `stream` is read as the archive needs; nothing is read if the layer is
        here. Of processes that race, one works and the others wait for it.

        Raises:
            Corrupt: the archive is damaged, or is not the one that `diff_id` names.
            InvalidInput: it would be unsafe to unpack (the entry is named), or goes over a limit.
            Unsupported: of this media type, or without the program that decompresses it.
        """
        if self.has(diff_id):
            return
        from onggi.store.unpack import unpack_archive

        with Lock(f"{self._locks}/layer-{diff_id.hex}", vanishing=True):
            if self.has(diff_id):
                return
            half_made = self._workshop.new_directory(0o755)
            try:
                os.mkdir(f"{half_made}/fs")
                facts = unpack_archive(stream, media_type, diff_id, f"{half_made}/fs", limits)
                self.publish(
                    half_made,
                    diff_id,
                    size=facts.size,
                    root=facts.root,
                    implied=facts.implied,
                    left_out=facts.left_out,
                )
            finally:
                self._workshop.remove(half_made)

    def publish(
        self,
        half_made: str,
        diff_id: Digest,
        *,
        size: int,
        root: bool,
        implied: Iterable[bytes] = (),
        left_out: Iterable[bytes] = (),
    ) -> None:
        """Put `half_made`, a directory that holds the layer's `fs`, into its place.

        If the layer is here already `half_made` stays where it is, the caller's to remove.
        """
        _write_notes(half_made, size, root, {"implied": implied, "left-out": left_out})
        self.sync(half_made)
        with self._leases.publishing():
            self._leases.published(diff_id)
            if not os.path.exists(f"{self._root}/{diff_id.hex}"):
                os.rename(half_made, f"{self._root}/{diff_id.hex}")
        if self._durable:
            sync_directory(self._root)

    def sync(self, path: str) -> None:
        """Make everything below `path` durable, if the store is: cheaper than an fsync a file."""
        if self._durable:
            from onggi.linux.fd import Fd
            from onggi.linux.sync import syncfs

            with Fd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as directory:
                syncfs(directory)

    def delete(self, diff_id: Digest) -> bool:
        """Remove the layer; tell whether it was here. Nothing may have it mounted."""
        doomed = self._workshop.new_name()
        if not self.take_away(diff_id, doomed):
            return False
        self._workshop.remove(doomed)
        return True

    def take_away(self, diff_id: Digest, doomed: str) -> bool:
        """Move the layer out of everybody's sight, to be removed at leisure."""
        link = f"{self._short}/{diff_id.hex[:_SHORT_NAME]}"
        if os.path.islink(link) and os.readlink(link) == f"../layers/{diff_id.hex}/fs":
            unlink_if_exists(link)
        try:
            os.rename(f"{self._root}/{diff_id.hex}", doomed)
        except FileNotFoundError:
            return False
        return True


def _write_notes(directory: str, size: int, root: bool, lists: dict[str, Iterable[bytes]]) -> None:
    write_new(f"{directory}/size", b"%d\n" % size, durable=False)
    if root:
        write_new(f"{directory}/root", b"", durable=False)
    for name, paths in lists.items():
        data = b"".join(path + b"\0" for path in sorted(paths))
        if data:
            write_new(f"{directory}/{name}", data, durable=False)
