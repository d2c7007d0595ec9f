"""Debian's podman, crun and runc, set up so that they run here, and cleaned up after.

Each works on a store of its own in a temporary directory. Where the host mixes cgroup v1 with a
v2 hierarchy that has controllers of its own, crun refuses ("cgroups in hybrid mode not
supported"). Peers then run in a private mount namespace in which that v2 hierarchy is not
mounted; the host's own mounts stay as they are.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Contender, Place, command
from onggi.linux import namespace, process

PODMAN_LOCKS = Path("/dev/shm/libpod_lock")
SECONDS_TO_END = 10
V2_BESIDE_V1 = Path("/sys/fs/cgroup/unified")

# podman raises these by itself, which takes a capability that a container host may lack.
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class Peers:
    """The peers, ready to run on one temporary directory."""

    def __init__(self, work: Path, inside: Place) -> None:
        self._work = work
        self._inside = inside

    def run(self, *words: str) -> Contender:
        """Make a contender of a peer's command line."""
        return command(list(words), inside=self._inside)

    def podman(self, *words: str) -> Contender:
        """Make a contender of a podman command on the temporary store."""
        return self.run(*self._podman_line(*words))

    def crun(self, bundle: Path, name: str) -> Contender:
        """Make a contender of `crun run` of a bundle."""
        return self.run("crun", "run", "--bundle", str(bundle), name)

    def run_detached(self, *words: str) -> None:
        """Run a command that must succeed, and that may leave processes with its streams."""
        with self._inside(), tempfile.TemporaryFile("w+") as said:
            streams = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said}
            done = subprocess.run(words, timeout=120, check=False, **streams)  # type: ignore[call-overload]
            if done.returncode:
                said.seek(0)
                sys.exit(f"{' '.join(words)}: exit {done.returncode}: {said.read().strip()}")

    def import_image(self, archive: Path, name: str) -> None:
        """Give podman an image with the files of an archive."""
        self.podman("import", str(archive), name)()

    def bundle(self, rootfs: Path, config: dict[str, object]) -> Path:
        """Lay a bundle out: a runtime configuration and the root directory it names."""
        path = self._work / "bundle"
        path.mkdir()
        config = config | {"root": {"path": str(rootfs), "readonly": False}}
        (path / "config.json").write_text(json.dumps(config))
        return path

    def _podman_line(self, *words: str) -> list[str]:
        store = ["--root", str(self._work / "podman"), "--runroot", str(self._work / "podman-run")]
        return ["podman", *store, "--cgroup-manager", "cgroupfs", *words]


def is_installed(program: str) -> bool:
    """Tell whether a peer is there to be compared with."""
    return shutil.which(program) is not None


@contextlib.contextmanager
def prepared(work: Path) -> Iterator[Peers]:
    """Set the peers up on a directory, and leave nothing of them afterwards."""
    process.set_child_subreaper()  # podman's monitors are ours to wait for, not init's
    had_locks = PODMAN_LOCKS.exists()
    try:
        with _mount_namespace() as namespace_fd:
            yield Peers(work, lambda: _inside(namespace_fd))
    finally:
        _reap()
        _remove_cgroups()
        if not had_locks:
            PODMAN_LOCKS.unlink(missing_ok=True)


@contextlib.contextmanager
def _mount_namespace() -> Iterator[int]:
    """Make a mount namespace as the peers want it; yield a descriptor of it."""
    script = f"! mountpoint -q {V2_BESIDE_V1} || umount {V2_BESIDE_V1}; echo ready; exec cat"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script], stdin=pipe, stdout=pipe
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n", "no mount namespace for the peers"
        namespace_fd = os.open(f"/proc/{holder.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield namespace_fd
        finally:
            os.close(namespace_fd)


@contextlib.contextmanager
def _inside(namespace_fd: int) -> Iterator[None]:
    """Be in another mount namespace for a while; this process has one thread only."""
    own_fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespace.setns(namespace_fd, namespace.CLONE_NEWNS)
        yield
    finally:
        namespace.setns(own_fd, namespace.CLONE_NEWNS)
        os.close(own_fd)


def _reap() -> None:
    """Wait for what the peers left as children of ours, but not for ever."""
    deadline = time.monotonic() + SECONDS_TO_END
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)


def _remove_cgroups() -> None:
    """Remove the cgroups that podman makes for its monitors and leaves behind."""
    for parent in Path("/sys/fs/cgroup").glob("**/libpod_parent"):
        for path, _directories, _files in os.walk(parent, topdown=False):
            os.rmdir(path)
