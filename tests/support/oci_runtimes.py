"""OCI runtimes and bundles to try them with: ours, and those that others wrote.

What a test expects of ours it expects of runc too, so that a test that is wrong shows.
"""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.patience import SLOWER
from support.repository import ROOT

OURS = ROOT / ".venv" / "bin" / "onggi-runtime"
PROGRAMS = {"onggi": str(OURS), "runc": "runc"}
APPLETS = ("sh", "sleep", "true", "false", "echo", "cat", "id", "env", "ls", "stat", "touch", "tty")

Json = dict[str, Any]

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_GUARDED = ["nosuid", "noexec", "nodev"]


def configuration(*args: str, identifier: str) -> Json:
    """Return what an ordinary container is made of, for a test to change."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "jar",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": _GUARDED},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
            },
        ],
        "linux": {
            "cgroupsPath": f"/onggi/{identifier}",
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [
                {"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")
            ],
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys"],
        },
    }


def lay_out_rootfs(path: Path) -> None:
    """Make a root directory with a shell and its friends."""
    (path / "bin").mkdir(parents=True)
    (path / "tmp").mkdir()
    (path / "etc").mkdir()
    shutil.copy("/bin/busybox", path / "bin" / "busybox")
    for name in APPLETS:
        (path / "bin" / name).symlink_to("busybox")


class OciRuntime:
    """An OCI runtime's command, on a directory of its own, with bundles."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self.root = place / "state"
        self._place = place
        self._commands = 0
        self.made: list[str] = []

    def line(self, *words: str | Path) -> list[str]:
        """Return the command line for some words."""
        return [PROGRAMS[self.name], "--root", str(self.root), *map(str, words)]

    def attempt(
        self, *words: str | Path, timeout: float = 30, **popen: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail. Its output goes to files that no other has."""
        self._commands += 1
        out, err = (self._place / f"{stream}-{self._commands}" for stream in ("out", "err"))
        with out.open("w+") as stdout, err.open("w+") as stderr:
            streams = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr, **popen}
            done = subprocess.run(
                self.line(*words), check=False, timeout=timeout * SLOWER, text=True, **streams
            )
            return subprocess.CompletedProcess(
                done.args, done.returncode, out.read_text(), err.read_text()
            )

    def __call__(self, *words: str | Path, **popen: Any) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed."""
        done = self.attempt(*words, **popen)
        line = " ".join(map(str, words))
        assert done.returncode == 0, f"{self.name} {line}: {done.returncode}\n{done.stderr}"
        return done

    def identifier(self) -> str:
        """Return a name that no container has."""
        name = f"onggi-test-{uuid.uuid4().hex[:12]}"
        self.made.append(name)
        return name

    def bundle(
        self, identifier: str, *args: str, change: Callable[[Json], object] = lambda _config: None
    ) -> Path:
        """Lay a bundle out whose program is `args`; `change` edits its configuration."""
        path = self._place / f"bundle-{identifier}"
        lay_out_rootfs(path / "rootfs")
        config = configuration(*args, identifier=identifier)
        change(config)
        (path / "config.json").write_text(json.dumps(config))
        return path

    def edit(
        self, bundle: Path, change: Callable[[Json], object] = lambda _config: None, **process: Any
    ) -> None:
        """Change the configuration of a bundle, and members of its process."""
        file = bundle / "config.json"
        config = json.loads(file.read_text())
        config["process"].update(process)
        change(config)
        file.write_text(json.dumps(config))

    def create(self, identifier: str, bundle: Path, *words: str | Path) -> None:
        """Create a container."""
        self("create", "--bundle", bundle, *words, identifier)

    def run(
        self, *args: str, change: Callable[[Json], object] = lambda _config: None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a container of its own to its end, whatever that is."""
        identifier = self.identifier()
        bundle = self.bundle(identifier, *args, change=change)
        return self.attempt("run", "--bundle", bundle, identifier)

    def state(self, identifier: str) -> Json:
        """Return what `state` says."""
        state: Json = json.loads(self("state", identifier).stdout)
        return state

    def wait_until(self, identifier: str, status: str, seconds: float = 10) -> None:
        """Wait until a container has a status."""
        deadline = time.monotonic() + seconds * SLOWER
        while (now := self.state(identifier)["status"]) != status:
            assert time.monotonic() < deadline, f"{identifier} is {now}, not {status}"
            time.sleep(0.01)

    def remains(self, identifier: str) -> list[str]:
        """Name what is left of a container: its directory, its cgroups."""
        kept = self.root / identifier
        top = Path("/sys/fs/cgroup")
        cgroups = [*top.glob(f"*/onggi/{identifier}"), top / "onggi" / identifier]
        return [str(path) for path in (kept, *cgroups) if path.exists()]

    def clean(self) -> None:
        """Remove every container that a test made."""
        for identifier in self.made:
            self.attempt("delete", "--force", identifier)
        shutil.rmtree(self.root, ignore_errors=True)


def processes_of(pid: int) -> Path:
    """Return where the kernel tells of a process."""
    return Path("/proc") / str(pid)


def wait_for_file(path: Path, seconds: float = 10) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + seconds * SLOWER
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.01)


def wait_for_end(pid: int, seconds: float = 10) -> None:
    """Wait until a process runs no more, whoever is to wait for it."""
    deadline = time.monotonic() + seconds * SLOWER
    while processes_of(pid).exists():
        if (processes_of(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        assert time.monotonic() < deadline, f"process {pid} lives"
        time.sleep(0.01)


def without(config: Json, kind: str) -> None:
    """Have a container share the host's namespace of a kind."""
    namespaces = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [entry for entry in namespaces if entry["type"] != kind]


def mapped(config: Json) -> None:
    """Give a container a user namespace, whose root is user 100000 of the host."""
    config["linux"]["namespaces"].append({"type": "user"})
    for key in ("uidMappings", "gidMappings"):
        config["linux"][key] = [{"containerID": 0, "hostID": 100_000, "size": 65536}]
    config["linux"].pop("maskedPaths")
    config["mounts"][-1]["options"].append("gid=5")


def inside(runtime: OciRuntime, *args: str, **members: Json) -> str:
    """Run a program with some members of process, linux or the configuration changed."""

    def change(config: Json) -> None:
        config["process"].update(members.get("process", {}))
        config["linux"].update(members.get("linux", {}))
        config.update(members.get("config", {}))

    done = runtime.run(*args, change=change)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with some more."""
    return {**os.environ, **variables}
