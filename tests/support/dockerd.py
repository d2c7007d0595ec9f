"""dockerd of Debian's, started by a test: on a root of its own, in namespaces of its own.

It has its own mount, network and PID namespace, so that it can neither disturb another dockerd nor
outlive the test, and its own containerd, which it starts by itself. Its containers have no network.

Source: dockerd(8); Docker documentation, "Alternative container runtimes", "runc drop-in".
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from support.oci_runtimes import OURS
from support.patience import SLOWER
from support.repository import ROOT

# Unpacked there by scripts/setup --test: installed, it would be a service of the machine.
PACKAGE = ROOT / ".venv" / "docker"
DAEMON = PACKAGE / "usr" / "sbin" / "dockerd"
CLIENT = PACKAGE / "usr" / "bin" / "docker"
_ITS_OWN = ("tini", "dockerd", "containerd")
_UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
# The first process of the namespace has orphans to wait for, as init has, which dockerd does not.
_INSIDE = 'ip link set lo up && mount -t tmpfs run /run && exec tini -- "$@"'
_TOP = Path("/sys/fs/cgroup")


class Dockerd:
    """A daemon that knows runc and our runtime, which it calls onggi."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._parent = f"onggi-test-dockerd-{os.getpid()}"
        (place / "daemon.json").write_text(json.dumps(self._configuration()))
        self._log = (place / "log").open("w")
        line: list[str | Path] = [*_UNSHARE, "sh", "-c", _INSIDE, "sh", DAEMON]
        line += ["--config-file", place / "daemon.json", "--add-runtime", f"onggi={OURS}"]
        self._process = subprocess.Popen(line, stdout=self._log, stderr=self._log)
        self._wait_until_it_answers()
        self._mounts = self.mounts()

    def _configuration(self) -> dict[str, Any]:
        return {
            "data-root": str(self._place / "data"),
            "exec-root": str(self._place / "exec"),
            "pidfile": str(self._place / "pid"),
            "hosts": [f"unix://{self._place}/socket"],
            "iptables": False,
            "ip6tables": False,
            "bridge": "none",
            "userland-proxy": False,  # a program of its own, which it looks for even so
            "storage-driver": "vfs",
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": f"/{self._parent}",
            "init-path": "/usr/bin/tini-static",
        }

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 30 * SLOWER
        while self.attempt("version").returncode:
            assert time.monotonic() < deadline, (self._place / "log").read_text()
            time.sleep(0.05)

    def line(self, *words: str | Path) -> list[str]:
        """Return a command line of its client's."""
        own = ["--config", self._place / "client", "--host", f"unix://{self._place}/socket"]
        return [str(word) for word in (CLIENT, *own, *words)]

    def attempt(self, *words: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command that may fail, with `text` as its standard input."""
        return subprocess.run(
            self.line(*words),
            input=text,
            text=True,
            capture_output=True,
            timeout=60 * SLOWER,
            check=False,
        )

    def __call__(self, *words: str | Path, text: str = "") -> str:
        """Run a command that must succeed; return its standard output."""
        done = self.attempt(*words, text=text)
        assert done.returncode == 0, f"docker {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout

    def inspect(self, name: str, format_: str) -> str:
        """Return what is known of a container, by a template of Go's."""
        return self("inspect", "--format", format_, name).strip()

    def wait_until(self, name: str, format_: str, wanted: str, seconds: float = 20) -> None:
        """Wait until something that is known of a container is so."""
        deadline = time.monotonic() + seconds * SLOWER
        while (now := self.inspect(name, format_)) != wanted:
            assert time.monotonic() < deadline, f"{name}: {format_} is {now}, not {wanted}"
            time.sleep(0.02)

    def empty(self) -> None:
        """Remove every container, and hold that nothing of them is left."""
        if names := self("ps", "--all", "--quiet").split():
            self("rm", "--force", "--volumes", *names)
        deadline = time.monotonic() + 10 * SLOWER
        while left := self.left():
            assert time.monotonic() < deadline, f"dockerd and its containers left {left}"
            time.sleep(0.02)
        self._remove_cgroups()

    def _remove_cgroups(self) -> None:
        """Remove the parent of all its containers, which dockerd makes and keeps."""
        for path in self.cgroups():
            path.rmdir()

    def left(self) -> list[str]:
        """Name what is there of containers: shims and programs, mounts, cgroups, bundles."""
        found = [name for name in self._processes() if name not in _ITS_OWN]
        found += sorted(self.mounts() - self._mounts)
        for parent in self.cgroups():
            found += [str(path) for path in parent.iterdir() if path.is_dir()]
        # What begins otherwise is no container's, such as the filters that ours keeps.
        return found + [str(path) for path in self._place.glob("exec/runtime-*/*/[0-9a-f]*")]

    def cgroups(self) -> list[Path]:
        """Return the directory of all its containers, in each hierarchy."""
        return [
            path
            for path in (*_TOP.glob("*/onggi-test-*"), *_TOP.glob("onggi-test-*"))
            if path.name == self._parent
        ]

    def mounts(self) -> set[str]:
        """List what is mounted where dockerd is."""
        lines = Path(f"/proc/{self._first()}/mountinfo").read_text().splitlines()
        return {" ".join(line.split()[3:5]) for line in lines}

    def namespace(self, kind: str) -> str:
        """Name the namespace of a kind that is the host's to its containers."""
        return os.readlink(f"/proc/{self._first()}/ns/{kind}")

    def _first(self) -> int:
        """Return the PID of the namespace's first process."""
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def _processes(self) -> list[str]:
        """List the processes of the namespace and of those below it by name."""
        first, names = self._first(), []
        waiting = [first]
        while waiting:
            pid = waiting.pop()
            try:
                names.append(Path(f"/proc/{pid}/comm").read_text().strip())
                for task in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (task / "children").read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while it was looked at
        return names

    def stop(self) -> None:
        """End the daemon, as an operator does, and remove the cgroups that it leaves."""
        os.kill(self._first(), signal.SIGTERM)  # tini passes it on
        self._process.wait(timeout=30 * SLOWER)
        self._log.close()
        self._remove_cgroups()
