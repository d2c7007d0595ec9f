"""Layers and what is in them, for tests."""

import contextlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from onggi.linux import mount
from onggi.oci.digest import Digest
from onggi.oci.media_types import OCI_LAYER
from onggi.oci.mount import Mount
from onggi.store.store import Store


def directory(name: str, **fields: object) -> tarfile.TarInfo:
    """Make a tar's directory, of mode 755 unless told otherwise."""
    return member(name, tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    """Make a tar's member of any kind."""
    made = tarfile.TarInfo(name)
    made.type = kind
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def archive(*members: tarfile.TarInfo | tuple[tarfile.TarInfo | str, bytes]) -> bytes:
    """Write a tar; a pair is a file with its contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for each in members:
            info, data = each if isinstance(each, tuple) else (each, b"")
            info = member(info) if isinstance(info, str) else info
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def unpack(store: Store, data: bytes) -> Digest:
    """Unpack an uncompressed layer; return its diff ID."""
    diff_id = Digest.of(data)
    store.layers.unpack(io.BytesIO(data), OCI_LAYER, diff_id)
    return diff_id


Inode = tuple[object, ...]


def tree(path: str | Path, *, times: bool = True, private: bool = False) -> dict[str, Inode]:
    """Describe everything below a directory: what two equal trees have in common.

    `private` includes what overlayfs noted for itself.
    """
    found: dict[str, Inode] = {}
    first_links: dict[int, str] = {}
    for place, directories, files in os.walk(path):
        for name in sorted([*directories, *files, "."]):
            full = os.path.join(place, name)
            relative = os.path.normpath(os.path.relpath(full, path))
            found[relative] = (*_inode(full, times, private), _first(full, relative, first_links))
    return found


def _inode(path: str, times: bool, private: bool) -> Inode:
    status = os.lstat(path)
    contents: bytes | str = b""
    if stat.S_ISREG(status.st_mode):
        contents = Path(path).read_bytes()
    elif stat.S_ISLNK(status.st_mode):
        contents = os.readlink(path)
    xattrs = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in sorted(os.listxattr(path, follow_symlinks=False))
        if private or name == "trusted.overlay.opaque" or not name.startswith("trusted.overlay.")
    }
    owner = (status.st_uid, status.st_gid)
    whiteout = stat.S_ISCHR(status.st_mode) and not status.st_rdev  # nobody sees its attributes
    mtime = status.st_mtime_ns if times and not whiteout else 0
    return (oct(status.st_mode), owner, status.st_rdev, mtime, contents, xattrs)


def _first(path: str, relative: str, first_links: dict[int, str]) -> str:
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode) or status.st_nlink < 2:
        return ""
    return first_links.setdefault(status.st_ino, relative)


@contextlib.contextmanager
def mounted(mounts: list[Mount], place: Path) -> Iterator[Path]:
    """Mount what a store says; only in a mount namespace of one's own."""
    place.mkdir(exist_ok=True)
    for each in mounts:
        flags = mount.MS_RDONLY if "ro" in each.options else 0
        options = ",".join(option for option in each.options if option != "ro")
        mount.mount(each.source, str(place), each.type, flags, options)
    try:
        yield place
    finally:
        mount.umount2(str(place), 0)
