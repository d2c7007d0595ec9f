"""Other engines' programs, each on a store of its own that goes with the test."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.patience import SLOWER


def run(*words: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program that must succeed; return its standard output."""
    done = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        timeout=60 * SLOWER,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.stderr}"
    return done.stdout


class Peer:
    """Podman or buildah on a store of its own."""

    def __init__(self, program: str, directory: Path) -> None:
        self._words: list[str | Path] = [
            program,
            "--root",
            directory / "peer",
            "--runroot",
            directory / "peer-run",
        ]
        if program == "podman":
            self._words += ["--tmpdir", directory / "peer-tmp"]
        self._words += ["--storage-driver", "vfs"]
        # Its locks would otherwise stay in /dev/shm for ever.
        self._configuration = directory / "peer.conf"
        self._configuration.write_text('[engine]\nlock_type = "file"\n')

    def __call__(self, *words: str | Path) -> str:
        env = {"CONTAINERS_CONF": str(self._configuration)}
        return run(*self._words, *words, env=env).strip()
