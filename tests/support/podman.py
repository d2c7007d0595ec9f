"""podman with our runtime, on a store of its own.

Its locks are files in its own directory, so that nothing of it is shared with another podman of the
machine.
"""

import json
import os
import subprocess
import time
from pathlib import Path

from support.oci_runtimes import OURS
from support.patience import SLOWER

# It raises these by itself, for which a container host may lack the right.
LIMITS = ["nofile=1024:1024", "nproc=1024:1024"]
ORDINARY = ("--network", "none", "--cgroup-parent", "/onggi-test-podman")


def _with_root(place: Path) -> Path:
    """Return our runtime with a root of its own.

    `--runtime-flag` is not passed on to the process of podman's that cleans up once a container
    ends: it would delete nothing, in the ordinary root.
    """
    path = place / "onggi-runtime"
    path.write_text(f'#!/bin/sh\nexec {OURS} --root {place}/containers "$@"\n')
    path.chmod(0o755)
    return path


class Podman:
    """podman on a store of its own, with our runtime."""

    def __init__(self, place: Path, *, cgroup_manager: str = "cgroupfs") -> None:
        self._place = place
        # What no option of the command sets, or not for a pod's first container.
        conf = place / "containers.conf"
        conf.write_text(
            f"[containers]\ndefault_ulimits = {json.dumps(LIMITS)}\n"
            '[engine]\nlock_type = "file"\nevents_logger = "file"\n'
        )
        self._env = {**os.environ, "CONTAINERS_CONF": str(conf)}
        self._line = [
            *("podman", "--root", str(place / "root"), "--runroot", str(place / "run")),
            # With overlayfs it keeps a mount of its own for as long as it pleases.
            *("--storage-driver", "vfs", "--tmpdir", str(place / "tmp")),
            *("--cgroup-manager", cgroup_manager),
            *("--runtime", str(_with_root(place))),
        ]

    def line(self, *words: str | Path) -> list[str]:
        """Return a command line that needs no environment."""
        return [
            "env",
            f"CONTAINERS_CONF={self._env['CONTAINERS_CONF']}",
            *self._line,
            *map(str, words),
        ]

    def attempt(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        return subprocess.run(
            [*self._line, *map(str, words)],
            env=self._env,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60 * SLOWER,
            check=False,
        )

    def __call__(self, *words: str | Path) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.attempt(*words)
        assert done.returncode == 0, f"podman {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout

    def run(self, *words: str | Path) -> str:
        """Run a program in a container of its own."""
        return self("run", "--rm", *ORDINARY, *words)

    def clean(self) -> None:
        """Remove all that it has."""
        self.remove_containers()
        self("rmi", "--all", "--force")

    def remove_containers(self) -> None:
        """Remove all of them, and the cgroups, which podman's own clean-up leaves for later."""
        self("rm", "--all", "--force", "--time", "0")
        deadline = time.monotonic() + 20 * SLOWER
        while _cgroups("onggi-test-podman"):
            assert time.monotonic() < deadline, "there are processes left"
            self._remove_cgroups()
            time.sleep(0.02)
        self._remove_cgroups()

    def _remove_cgroups(self) -> None:
        for parent in ("onggi-test-podman", "libpod_parent"):
            for path in _cgroups(parent):
                for directory, _, _ in os.walk(path, topdown=False):
                    if parent == "onggi-test-podman" or directory.endswith(("conmon", parent)):
                        _remove_if_empty(directory)


def _cgroups(name: str) -> list[Path]:
    """List the cgroups of a name at the top of each hierarchy, whatever is mounted."""
    top = Path("/sys/fs/cgroup")
    return [*top.glob(f"*/{name}"), *top.glob(name)]


def _remove_if_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        pass  # of another podman of this machine
