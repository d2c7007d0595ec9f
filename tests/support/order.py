"""Whether a store and what belongs to it on the machine are in order, seen from outside.

Nothing of the engine's is used to look: files, processes, cgroups and mounts are read as they lie.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.leaks import SESSION
from support.patience import SLOWER

MONITOR = "onggi-monitor"
_CGROUPS = Path("/sys/fs/cgroup")


class Order:
    """Looks at the store at `root`; IDs of what may be looked for elsewhere begin with `mark`."""

    def __init__(self, root: Path, mark: str) -> None:
        self.root = root
        self.mark = mark

    def wait(self, seconds: float = 10) -> None:
        """Fail unless everything is in order soon; what was told to end needs a moment for it."""
        deadline = time.monotonic() + seconds * SLOWER
        while wrong := self.wrong():
            assert time.monotonic() < deadline, "not in order:\n  " + "\n  ".join(wrong)
            time.sleep(0.01)

    def wait_gone(self, seconds: float = 10) -> None:
        """Fail unless soon nothing of the store, which was reset, is left on the machine."""
        deadline = time.monotonic() + seconds * SLOWER
        while left := self.machine():
            assert time.monotonic() < deadline, "left behind:\n  " + "\n  ".join(left)
            time.sleep(0.01)

    def wrong(self) -> list[str]:
        """Say, a line each, what is not as it should be."""
        return [
            *self._containers(),
            *self._run_directories(),
            *self._names(),
            *self._volumes(),
            *self._images(),
            *self._cgroups(),
            *self._processes(),
            *(f"half-made: {one}" for one in (self.root / "tmp").iterdir()),
            *(f"mounted: {line}" for line in _mountinfo() if f" {self.root}" in line),
        ]

    def machine(self) -> list[str]:
        """Say what of a store that is gone is left on the machine."""
        return [*(f"cgroup: {path}" for path in groups(self.mark)), *_of_this_session()]

    def records(self) -> dict[str, dict[str, Any]]:
        """Read the record of every container, by ID."""
        paths = (self.root / "containers").glob("*/record.json")
        return {path.parent.name: json.loads(path.read_text()) for path in paths}

    def running(self) -> dict[str, dict[str, Any]]:
        """Read the state of every container that says it runs, by ID."""
        states = (self.root / "containers").glob("*/state.json")
        read = {path.parent.name: json.loads(path.read_text()) for path in states}
        return {one: state for one, state in read.items() if state["status"] == "running"}

    def _containers(self) -> Iterator[str]:
        records, running = self.records(), self.running()
        for directory in (self.root / "containers").iterdir():
            record = records.get(directory.name)
            if record is None:
                yield f"snapshot without a container: {directory.name}"
            elif record["options"]["remove"] and directory.name not in running:
                yield f"should have been removed at its end: {directory.name}"
            elif not (directory / "upper").is_dir() or not (directory / "snapshot").is_file():
                yield f"container without a snapshot: {directory.name}"
        for one, state in running.items():
            if not Path(f"/proc/{state['pid']}").exists():
                yield f"says it runs and does not: {one}"

    def _run_directories(self) -> Iterator[str]:
        running = self.running()
        for directory in (self.root / "run").iterdir():
            if directory.name not in ("root", "boot", *running):
                yield f"run directory of nobody: {directory.name} {os.listdir(directory)}"

    def _names(self) -> Iterator[str]:
        links = {os.readlink(link): link.name for link in (self.root / "names").iterdir()}
        records = self.records()
        yield from (f"name of nobody: {links[one]}" for one in links.keys() - records)
        for one, record in records.items():
            if links.get(one) != record["name"]:
                yield f"container without its name: {one} {record['name']}"

    def _volumes(self) -> Iterator[str]:
        text = json.dumps(list(self.records().values()))
        for path in (self.root / "volumes").glob("*/volume.json"):
            if json.loads(path.read_text()).get("anonymous") and path.parent.name not in text:
                yield f"volume of nobody: {path.parent.name}"

    def _images(self) -> Iterator[str]:
        """Follow every reference to the last blob and unpacked layer."""
        for entry in json.loads((self.root / "index.json").read_text())["manifests"]:
            manifest = self._document(entry["digest"])
            config = self._document(manifest["config"]["digest"])
            for layer in manifest["layers"]:
                if not self._blob(layer["digest"]).is_file():
                    yield f"image without a blob: {entry} {layer['digest']}"
            for diff_id in config["rootfs"]["diff_ids"]:
                if not (self.root / "layers" / diff_id.partition(":")[2]).is_dir():
                    yield f"image without a layer: {entry} {diff_id}"

    def _blob(self, digest: str) -> Path:
        return self.root / "blobs" / digest.replace(":", "/")

    def _document(self, digest: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._blob(digest).read_text())
        return document

    def _cgroups(self) -> Iterator[str]:
        running = self.running()
        for path in groups(self.mark):
            if path.name not in running:
                yield f"cgroup of nobody: {path}"

    def _processes(self) -> Iterator[str]:
        """Find processes of this session's commands: one monitor for each that runs, no other."""
        found = list(_of_this_session())
        monitors = [line for line in found if MONITOR in line]
        yield from (f"process: {line}" for line in found if MONITOR not in line)
        if len(monitors) != len(self.running()):
            yield f"monitors: {monitors}, containers: {sorted(self.running())}"


def groups(mark: str = "") -> Iterator[Path]:
    """Find cgroups of containers whose IDs begin so, in every hierarchy."""
    for hierarchy in (_CGROUPS, *_CGROUPS.iterdir()):  # where v2 is alone, the top is one
        try:
            found = [one for one in (hierarchy / "onggi").iterdir() if one.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            continue  # nobody has containers there, or not any more
        yield from (one for one in found if one.name.startswith(mark))


def _of_this_session() -> Iterator[str]:
    mark = f"{SESSION}={os.environ[SESSION]}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(pid) == os.getpid() or mark not in Path("/proc", pid, "environ").read_bytes():
                continue
            words = Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode()
            yield f"{pid} {Path('/proc', pid, 'comm').read_text().strip()} {words[-100:]}"
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while it was looked at, or is somebody else's


def _mountinfo() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()
