"""Digests of what COPY and ADD take, without reading again what did not change.

What counts is what BuildKit counts: kind, permissions, owner, contents, extended attributes, where
a link leads; never a time. The digest of a file's contents is remembered beside what stat(2) says
of it (size, both times in nanoseconds, inode); as long as that is the same, so are the contents.
A file that changed within the last moment could change again without a new time, so its digest is
not remembered yet (git calls such an entry racy).
"""

from __future__ import annotations

import os
import stat

from onggi.linux.fd import Fd
from onggi.oci import jsontext
from onggi.store.attributes import is_carried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.build.tree import Entry

_CHUNK = 1 << 20
_TRAVELLING = ("user.", "security.capability")
# More than a tick of any kernel's clock, which is as fine as file times are.
_RACY_NS = 100_000_000
# How many digests of files unseen in this build are kept for another target's sake.
_UNSEEN_KEPT = 20_000


class ContentDigests:
    """Digests of one context's files, kept in a file between builds.

    Losing that file costs time only; who writes last wins.
    """

    __slots__ = ("_known", "_new", "_path", "_seen", "_source")

    def __init__(self, path: str = "", source: str = "") -> None:
        self._path = path
        self._source = source
        self._known: dict[str, list[str]] = {}
        self._seen: dict[str, list[str]] = {}
        self._new = False

    @classmethod
    def load(cls, path: str, source: str) -> ContentDigests:
        """Read what earlier builds found out about the context at `source`."""
        from onggi.store.atomic import read_file

        digests = cls(path, source)
        try:
            value = jsontext.loads(read_file(path))
            if value["source"] == source:
                digests._known = value["files"]
        except (OSError, ValueError, KeyError, TypeError):
            digests._known = {}  # missing or damaged: the files are read again
        return digests

    def save(self) -> None:
        """Write down what this build found out, if anything."""
        if not self._new or not self._path:
            return
        from onggi.store.atomic import write_file

        files = self._seen
        if len(self._known) < len(files) + _UNSEEN_KEPT:
            files = {**self._known, **files}
        os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
        value = {"source": self._source, "files": files}
        write_file(self._path, jsontext.dumps(value).encode(), durable=False)
        self._new = False

    def file(self, entry: Entry) -> str:
        """Return the digest of a regular file's contents and extended attributes."""
        status = entry.status
        stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        known = self._known.get(entry.full_path)
        if known is not None and known[0] == stamp:
            self._seen[entry.full_path] = known
            return known[1]
        return self._read(entry, stamp)

    def _read(self, entry: Entry, stamp: str) -> str:
        import time

        now = time.time_ns()
        digest = file_digest(entry)
        if max(entry.status.st_mtime_ns, entry.status.st_ctime_ns) + _RACY_NS < now:
            self._seen[entry.full_path] = [stamp, digest]
            self._new = True
        return digest


def file_digest(entry: Entry) -> str:
    """Digest a regular file's contents and extended attributes."""
    import hashlib

    digest = hashlib.sha256()
    with Fd(entry.open()) as file:
        while data := os.read(file.fileno(), _CHUNK):
            digest.update(data)
        for name, value in sorted(extended_attributes(file).items()):
            digest.update(b"\0%s\0%s" % (name.encode(), value))
    return digest.hexdigest()


def entry_digest(entry: Entry, digests: ContentDigests, owned_by_root: bool) -> str:
    """Say in a short text all that counts of one file, link or directory."""
    mode = entry.mode
    owner = "0:0" if owned_by_root else f"{entry.status.st_uid}:{entry.status.st_gid}"
    about = f"{stat.filemode(mode)} {owner}"
    if entry.is_file:
        return f"{about} {digests.file(entry)}"
    if entry.is_link:
        return f"{about} {entry.read_link()}"
    if entry.is_directory:
        return about
    return f"{about} {entry.status.st_rdev}"


def extended_attributes(file: Fd) -> dict[str, bytes]:
    """Read the attributes that travel with a file: the user's own and its capabilities.

    Those of a security module belong to this host, those of overlayfs to the store.
    """
    try:
        names = os.listxattr(file.fileno())
    except OSError:
        return {}  # the file system has none
    kept = [name for name in names if name.startswith(_TRAVELLING) and is_carried(name)]
    return {name: os.getxattr(file.fileno(), name) for name in kept}
