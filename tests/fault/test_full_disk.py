"""A disk that is full at one moment or another: one clear error, and nothing half made.

The store lies on a tmpfs of its own, which is filled so that exactly so many kilobytes are left.
Some amounts are too little from the start, others are used up by what is being made.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Onggi
from support.order import Order
from support.requirements import requires
from support.threats import withstands

pytestmark = [
    requires("root", "overlayfs", "cgroup-memory", "cgroup-pids", "busybox"),
    pytest.mark.time_limit(180),
]

KILOBYTE = 1024
PAGE_KILOBYTES = 4
DOCKERFILE = (
    "FROM busybox\nRUN head -c 100000 /dev/urandom > /one\nRUN head -c 200000 /dev/urandom > /two\n"
)


class Disk:
    """A small file system with a store on it, and a file that takes what is to be taken."""

    def __init__(self, place: Path) -> None:
        self.onggi = Onggi(place / "store")
        self.order = Order(self.onggi.root, "no container's ID begins so")
        self._filler = place / "filler"

    def leave(self, kilobytes: int) -> None:
        """Fill it up but for so much."""
        self.clear()
        free = os.statvfs(self._filler.parent)
        size = free.f_bavail * free.f_bsize - kilobytes * KILOBYTE
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)

    def clear(self) -> None:
        self._filler.unlink(missing_ok=True)

    def attempt(self, *words: str) -> int:
        """Do what may fail for want of room; it says so in one line, or does it whole."""
        done = self.onggi.attempt(*words)
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1]
            assert "no space left on device" in said.lower() or "RUN" in done.stderr, done.stderr
            assert "Traceback" not in done.stderr
        return done.returncode


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=12m,mode=700", "onggi-test"]
    subprocess.run(["mount", *options, str(place)], check=True)
    made = Disk(place)
    try:
        made.onggi("bootstrap", "--quiet", "busybox")
        yield made
        made.clear()
        made.onggi("system", "reset", "--force")
    finally:
        subprocess.run(["umount", str(place)], check=True)


def remove_all(disk: Disk) -> None:
    left = disk.onggi("ps", "--all", "--quiet").stdout.split()
    if left:
        disk.onggi("rm", "--force", "--volumes", *left)


@withstands("killed", "a full disk")
def test_running(disk: Disk) -> None:
    outcomes = set()
    for pages in range(0, 14, 2):
        disk.leave(pages * PAGE_KILOBYTES)
        outcomes.add(disk.attempt("run", "--rm", "-v", "/unnamed", "busybox", "true"))
        outcomes.add(disk.attempt("run", "--detach", "busybox", "sleep", "600"))
        remove_all(disk)  # which is what one does when the disk is full
        disk.order.wait()
    assert outcomes == {0, 125}
    disk.clear()
    assert disk.onggi("run", "--rm", "busybox", "echo", "well").stdout == "well\n"


def test_a_container_ends_though_its_disk_is_full(disk: Disk) -> None:
    disk.onggi("run", "--detach", "--name", "filling", "busybox", "sleep", "600")
    disk.leave(0)
    disk.onggi("kill", "filling")
    assert disk.onggi("wait", "filling").stdout == "137\n"
    state = "{{.State.Status}} {{.State.ExitCode}}"
    assert disk.onggi("inspect", "--format", state, "filling").stdout == "exited 137\n"
    disk.onggi("rm", "filling")
    disk.order.wait()


@withstands("killed", "a full disk")
@pytest.mark.parametrize("kilobytes", [0, 16, 48, 150, 350, 500])
def test_building(kilobytes: int, disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    before = disk.onggi("images", "--all", "--quiet").stdout
    disk.leave(kilobytes)
    assert disk.attempt("build", "--quiet", "--tag", "big", str(tmp_path)) == 1
    assert disk.onggi("images", "--all", "--quiet").stdout == before
    disk.clear()
    disk.onggi("ps")
    disk.order.wait()
    disk.onggi("build", "--quiet", "--tag", "big", str(tmp_path))
    disk.order.wait()


@pytest.mark.parametrize("kilobytes", [0, 8, 100, 1200, 2500])
def test_loading(kilobytes: int, disk: Disk, tmp_path: Path) -> None:
    archive = str(tmp_path / "busybox.tar")
    disk.onggi("save", "--output", archive, "busybox")
    disk.onggi("rmi", "busybox")
    disk.leave(kilobytes)
    assert disk.attempt("load", "--input", archive) == 1
    assert disk.onggi("images", "--all", "--quiet").stdout == ""
    disk.clear()
    disk.onggi("ps")
    disk.order.wait()
    disk.onggi("load", "--input", archive)
    disk.order.wait()
