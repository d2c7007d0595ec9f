"""The quickstart itself, as the README promises it."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from support.command import Onggi
from support.repository import ROOT
from support.requirements import requires

pytestmark = requires(
    "root", "overlayfs", "cgroup-memory", "cgroup-cpu", "mmdebstrap", "network", "busybox"
)

FIRST_SECONDS = 180
AFTERWARDS_SECONDS = 15


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def settings(root: Path) -> dict[str, str]:
    return os.environ | {"ROOT": str(root), "PORT": str(free_port())}


def quickstart(root: Path) -> tuple[str, float]:
    started = time.monotonic()
    done = subprocess.run(
        [ROOT / "scripts" / "quickstart"],
        env=settings(root),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, time.monotonic() - started


def quickstart_into_head(root: Path) -> int:
    """Read what it prints until the container runs, and no further; return how it ended."""
    with subprocess.Popen(
        [ROOT / "scripts" / "quickstart"],
        env=settings(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert any(line.startswith("4. Sign") for line in running.stdout)
        running.stdout.close()
        return running.wait(timeout=AFTERWARDS_SECONDS * 4)


@pytest.mark.time_limit(600)
def test_quickstart_twice(onggi: Onggi) -> None:
    shown, seconds = quickstart(onggi.root)
    assert seconds < FIRST_SECONDS
    assert '"message":"Hello from the host"' in shown
    assert re.search(r"^A /data/guestbook.sqlite$", shown, re.MULTILINE)
    assert "/ 128MiB" in shown
    assert "$ onggi exec --user root guestbook sh -c 'echo 1073741824 >/sys/fs/cgroup/" in shown
    assert "Read-only file system" in shown
    assert "\necho 134217728 > /sys/fs/cgroup/" in shown
    assert "no container left" in shown

    shown_again, seconds = quickstart(onggi.root)
    assert seconds < AFTERWARDS_SECONDS
    assert "bootstrap debian" not in shown_again
    assert onggi("ps", "--all", "--quiet").stdout == ""

    assert quickstart_into_head(onggi.root) == 128 + signal.SIGPIPE
    assert onggi("ps", "--all", "--quiet").stdout == ""
