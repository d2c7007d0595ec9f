"""The installed command, as a user runs it, on a store of its own."""

import os
import subprocess
import tempfile
from pathlib import Path

from support.patience import SLOWER
from support.places import store_parent
from support.repository import COMMAND

Words = str | Path


def root_of_module(name: str) -> Path:
    """Return where the store of a test module lies: in memory, and no other test run's."""
    return Path(f"/dev/shm/onggi-test-{name}-{os.getpid()}")


def disk_of_module(name: str) -> Path:
    """Return the same, but on the disk where memory does not show other owners."""
    return Path(store_parent() or tempfile.gettempdir(), root_of_module(name).name)


class Onggi:
    """Run `.venv/bin/onggi --root DIR …` and look at what comes of it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(
        self, *words: Words, input: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed; its output is captured.

        Raises:
            AssertionError: it exited with another status than 0; its words are in the message.
            subprocess.TimeoutExpired: it took longer than that many seconds, and was killed.
        """
        done = self.attempt(*words, input=input, timeout=timeout)
        line = " ".join(map(str, words))
        assert done.returncode == 0, f"onggi {line}: exit {done.returncode}\n{done.stderr}"
        return done

    def attempt(
        self, *words: Words, input: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail; its exit status is the caller's to judge."""
        return subprocess.run(
            self.line(*words),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout * SLOWER,
            check=False,
        )

    def start(self, *words: Words) -> "subprocess.Popen[str]":
        """Start a command and leave it running; the caller waits for it."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self.line(*words), stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def line(self, *words: Words) -> list[str]:
        """Spell out the command line of one command on this store."""
        return [str(COMMAND), "--root", str(self.root), *map(str, words)]
