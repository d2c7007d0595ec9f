"""Writing files so that a reader, or a crash, meets the old contents or the new, nothing between.

The order that makes a write survive power loss: write a file beside the old one, fsync it, rename
it over the old one, fsync the directory. Without the first fsync a file system that allocates late
(ext4, xfs) may keep the rename and lose the bytes; without the second it may lose the rename.
`durable=False` leaves both out: still atomic for every process that looks, but a power failure may
undo it. That is right for what a reboot ends anyway, such as a container of `run --rm`.

Source: rename(2), "newpath will be atomically replaced"; fsync(2), "an explicit fsync() on a file
descriptor for the directory is also needed".
"""

from __future__ import annotations

import os

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def write_file(
    path: str, data: bytes, *, durable: bool = True, staging: str = "", mode: int = 0o600
) -> None:
    """Replace the contents of `path`, or make it.

    Success means that every later open sees `data`, also after power loss if `durable`.
    `staging` is a directory of the same file system for the half-written file, by default the
    one that `path` is in; whoever owns it sweeps what a SIGKILL leaves there.
    """
    half_made = unused_name(staging or os.path.dirname(path) or ".")
    try:
        write_new(half_made, data, durable=durable, mode=mode)
        os.rename(half_made, path)
    except BaseException:
        unlink_if_exists(half_made)
        raise
    if durable:
        sync_directory(os.path.dirname(path) or ".")


def write_new(path: str, data: bytes, *, durable: bool = True, mode: int = 0o600) -> None:
    """Write a file that must not exist yet; it may be seen half-written."""
    fd = os.open(path, _NEW, mode)
    try:
        write_all(fd, data)
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every byte: a single write(2) may stop early, on a full disk or at 2 GiB."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def read_file(path: str) -> bytes:
    """Read a small file whole."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unused_name(directory: str) -> str:
    """Return a path in `directory` that nobody else will choose."""
    return f"{directory}/.{os.urandom(8).hex()}"


def is_unused_name(name: str) -> bool:
    """Tell whether the name is one that `unused_name` could have chosen."""
    return len(name) == 17 and name[0] == "." and set(name[1:]) <= set("0123456789abcdef")


def unlink_if_exists(path: str) -> bool:
    """Remove a file; tell whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
