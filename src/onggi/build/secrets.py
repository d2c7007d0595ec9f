"""Secrets of RUN steps: files that exist only while a command runs, and only in memory.

Each is written to a file on a tmpfs of the host (secret_files.py), and bound into the container.
What it holds is in no layer, no record, no cache key and no message; its ID may be.
"""

from __future__ import annotations

import os

from onggi.build.errors import BuildError
from onggi.build.secret_files import SecretFiles
from onggi.errors import InvalidInput
from onggi.linux.fd import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from onggi.build.options import Secret
    from onggi.build.run_mounts import RunMount

LARGEST = 500 << 10  # as BuildKit's limit
_DEFAULT_MODE = 0o400


class SecretStore:
    """The secrets that a build was given, and the files that show them to commands."""

    def __init__(self, given: Mapping[str, Secret]) -> None:
        self._given = given
        self._files = SecretFiles()

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
                return _read(file.fileno())
        except OSError as error:
            raise BuildError(
                f"secret {secret.id}: cannot read {path}: {os.strerror(error.errno or 0)}"
            ) from error

    def file(self, mount: RunMount, data: bytes) -> str:
        """Write a secret to a file in memory that has the mount's owner and permissions."""
        mode = _DEFAULT_MODE if mount.mode is None else mount.mode
        return self._files.write(data, mode=mode, uid=mount.uid or 0, gid=mount.gid or 0)

    def close(self) -> None:
        """Remove all files; closing twice is fine."""
        self._files.close()


def _file_of(secret: Secret) -> str:
    """Return the file that holds a secret; empty when a variable does, or should."""
    if secret.file:
        return secret.file
    return "" if secret.env or secret.id in os.environ else secret.id


def _read(fd: int) -> bytes:
    """Read a file to its end, which a pipe gives in parts; one byte more than allowed is enough."""
    data = b""
    while len(data) <= LARGEST and (chunk := os.read(fd, LARGEST + 1 - len(data))):
        data += chunk
    return data
