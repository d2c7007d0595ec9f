"""Where contenders are measured: a store with one small image, beside the peers' own."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import peers
from harness import COMMAND, Contender, command
from onggi import Engine

IMAGE = "busybox"
BUSYBOX = Path("/usr/bin/busybox")
NAMES = ("sh", "sleep", "true")


class Stage:
    """A temporary directory with Onggi's store, the image's files, and the peers."""

    def __init__(self, work: Path, contenders: peers.Peers) -> None:
        self.work = work
        self.root = work / "onggi"
        self.rootfs = work / "rootfs"
        self.archive = work / "rootfs.tar"
        self.peers = contenders

    def onggi(self, *words: str | Path) -> Contender:
        """Make a contender of a command on this store."""
        return command([str(COMMAND), "--root", str(self.root), *map(str, words)])

    def inspect(self, name: str) -> dict[str, object]:
        """Read what `onggi inspect` says of one container."""
        line = [str(COMMAND), "--root", str(self.root), "inspect", name]
        done = subprocess.run(line, capture_output=True, check=True, timeout=30)
        (record,) = json.loads(done.stdout)
        return dict(record)

    @contextlib.contextmanager
    def engine(self) -> Iterator[Engine]:
        """Open the store in this process, as a resident program does."""
        engine = Engine(str(self.root))
        try:
            yield engine
        finally:
            engine.close()


@contextlib.contextmanager
def prepared() -> Iterator[Stage]:
    """Set the stage, and leave nothing of it afterwards."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    directory = os.environ.get("TMPDIR", memory)
    with tempfile.TemporaryDirectory(prefix="onggi-bench-", dir=directory) as name:
        work = Path(name)
        with peers.prepared(work) as contenders:
            stage = Stage(work, contenders)
            _make_rootfs(stage.rootfs)
            subprocess.run(["tar", "-C", stage.rootfs, "-cf", stage.archive, "."], check=True)
            stage.onggi("import", stage.archive, IMAGE)()
            try:
                yield stage
            finally:
                stage.onggi("system", "reset", "--force")()


def _make_rootfs(path: Path) -> None:
    """Make the root directory that every contender's image holds: busybox and its names."""
    programs = path / "bin"
    programs.mkdir(parents=True)
    shutil.copy(BUSYBOX, programs / "busybox")
    for name in NAMES:
        (programs / name).symlink_to("busybox")
