"""Secrets of RUN steps: files that exist only while a command runs, and only in memory.

Each is written to a file on a tmpfs of the host, in a directory that only root may enter, and
bound into the container. The directory is locked as long as its owner lives: what a killed build
leaves behind is removed by the next one.
"""

from __future__ import annotations

import os

from onggi.build.errors import BuildError
from onggi.errors import InvalidInput, Unsupported
from onggi.linux.fd import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from onggi.build.options import Secret
    from onggi.build.run_mounts import RunMount

LARGEST = 500 << 10  # as BuildKit's limit
_PREFIX = "onggi-secrets-"
_PLACES = ("/run", "/dev/shm")
_DEFAULT_MODE = 0o400


class SecretStore:
    """The secrets that a build was given, and the files that show them to commands."""

    def __init__(self, given: Mapping[str, Secret]) -> None:
        self._given = given
        self._directory = ""
        self._lock: Fd | None = None

    def require_files(self) -> None:
        """Find the files before anything is built, and not in its last step.

        Raises: InvalidInput: one that was named is not there.
        """
        for secret in self._given.values():
            path = _file_of(secret)
            if path and not os.path.exists(path):
                raise InvalidInput(
                    f"secret {secret.id}: no such file: {path}",
                    hint=f"id={secret.id},src=FILE or id={secret.id},env=VARIABLE",
                )

    def read(self, mount: RunMount) -> bytes | None:
        """Return the secret that a mount asks for; None if there is none and need not be.

        Raises: BuildError: it is required, or cannot be read.
        """
        secret = self._given.get(mount.id)
        if secret is None:
            if mount.required:
                raise BuildError(
                    f"secret {mount.id}: not found", hint=f"pass --secret id={mount.id},src=FILE"
                )
            return None
        data = self._value(secret)
        if len(data) > LARGEST:
            raise BuildError(f"secret {secret.id} is larger than {LARGEST} bytes")
        return data

    def _value(self, secret: Secret) -> bytes:
        path = _file_of(secret)
        if not path:
            name = secret.env or secret.id
            if name not in os.environ:
                raise BuildError(f"secret {secret.id}: the variable {name} is not set")
            return os.fsencode(os.environ[name])
        try:
            with Fd(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as file:
                return os.read(file.fileno(), LARGEST + 1)
        except OSError as error:
            raise BuildError(
                f"secret {secret.id}: cannot read {path}: {os.strerror(error.errno or 0)}"
            ) from error

    def file(self, mount: RunMount, data: bytes) -> str:
        """Write a secret to a file in memory that has the mount's owner and permissions."""
        path = f"{self._place()}/{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with Fd(os.open(path, flags, 0o600)) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file.fileno(), rest) :]
            os.fchown(file.fileno(), mount.uid or 0, mount.gid or 0)
            os.fchmod(file.fileno(), _DEFAULT_MODE if mount.mode is None else mount.mode)
        return path

    def _place(self) -> str:
        if not self._directory:
            parent = _memory()
            sweep(parent)
            self._directory, self._lock = _make_locked(parent)
        return self._directory

    def close(self) -> None:
        """Remove all files; closing twice is fine."""
        directory, self._directory = self._directory, ""
        if directory:
            _remove(directory)
        if self._lock is not None:
            self._lock.close()


def _file_of(secret: Secret) -> str:
    """Return the file that holds a secret; empty when a variable does, or should."""
    if secret.file:
        return secret.file
    return "" if secret.env or secret.id in os.environ else secret.id


def _make_locked(parent: str) -> tuple[str, Fd]:
    """Make a directory and lock it; a sweeper may come between the two, so try again."""
    from onggi.store.locks import try_directory

    while True:
        path = f"{parent}/{_PREFIX}{os.urandom(8).hex()}"
        os.mkdir(path, 0o700)
        lock = try_directory(path)
        if lock is not None:
            return path, Fd(lock)


def _memory() -> str:
    """Find a directory whose files lie in memory."""
    mounts = _tmpfs_mounts()
    for place in _PLACES:
        if place in mounts:
            return place
    raise Unsupported("secrets need a tmpfs", hint="mount one at /dev/shm")


def _tmpfs_mounts() -> set[str]:
    from onggi.linux import mountinfo

    latest = {entry.mountpoint: entry.fstype for entry in mountinfo.read()}
    return {place for place, fstype in latest.items() if fstype == "tmpfs"}


def sweep(parent: str) -> None:
    """Remove the secrets of builds that were killed."""
    from onggi.store.locks import try_directory

    for name in os.listdir(parent):
        if not name.startswith(_PREFIX):
            continue
        lock = try_directory(f"{parent}/{name}")
        if lock is not None:
            with Fd(lock):
                _remove(f"{parent}/{name}")


def _remove(directory: str) -> None:
    for name in os.listdir(directory):
        os.unlink(f"{directory}/{name}")
    os.rmdir(directory)
