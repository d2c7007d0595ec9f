"""What of the machine a test could leave behind, seen before and after it.

Descriptors, mounts and processes can be told from those of others. Cgroups, files and named
network namespaces can't, so they are looked at only where ONGGI_TEST_ALONE promises, as
`make test` does, that nothing else with our name runs on the machine meanwhile.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from support.patience import SLOWER

SESSION = "ONGGI_TEST_SESSION"
PARENT_CGROUP = "onggi"
# The list of stores that share the host's IDs, which outlives each of them until the next boot.
SHARED_FILES = ("onggi-ids",)


class Machine:
    """What is there at one moment, of the kinds of thing that a container engine makes."""

    def __init__(self) -> None:
        looks = _OWN | _SHARED if os.environ.get("ONGGI_TEST_ALONE") else _OWN
        self.kinds = {kind: look() for kind, look in looks.items()}

    def new_since(self, before: "Machine") -> list[str]:
        """Say what is here that was not there before, a line for each."""
        return [
            f"{kind}: {name}"
            for kind, things in self.kinds.items()
            for name in sorted(things - before.kinds[kind])
        ]


def wait_until_clean(before: Machine, seconds: float) -> list[str]:
    """Look again until nothing new is left, or the time is up; say what is.

    A process that was told to end needs a moment for it, which is no leak.
    """
    deadline = time.monotonic() + seconds * SLOWER
    while (left := Machine().new_since(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _descriptors() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} -> {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:
            continue  # the listing's own descriptor
    return found


def _mounts() -> set[str]:
    return {" ".join(line.split()[:5]) for line in _mountinfo()}


def _cgroups() -> set[str]:
    """List cgroups with our name in their path, but for the parent that all containers share."""
    return {path for path in _our_cgroups() if os.path.basename(path) != PARENT_CGROUP}


def shared_cgroups() -> set[str]:
    """List the parents of all containers' cgroups, which outlive the containers."""
    return {path for path in _our_cgroups() if os.path.basename(path) == PARENT_CGROUP}


def _our_cgroups() -> set[str]:
    roots = [line.split()[4] for line in _mountinfo() if " - cgroup" in line]
    return {
        path
        for root in roots
        for path, _directories, _files in os.walk(root)
        if "onggi" in path.removeprefix(root)
    }


def _mountinfo() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


def _processes() -> set[str]:
    """List processes of ours: below this one, marked by it, or in a cgroup with our name."""
    own = os.getpid()
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(pid) != own and _is_ours(Path("/proc", pid), own):
                found.add(f"{pid} {_command_line(pid)}")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while it was looked at, or is somebody else's
    return found


def _is_ours(process: Path, own: int) -> bool:
    parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    if parent == own:
        return True
    mark = f"{SESSION}={os.environ[SESSION]}".encode()
    if mark in (process / "environ").read_bytes().split(b"\0"):
        return True
    return bool(os.environ.get("ONGGI_TEST_ALONE")) and "onggi" in (process / "cgroup").read_text()


def _command_line(pid: str) -> str:
    words = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
    return b" ".join(words).decode(errors="replace").strip() or "(zombie or kernel thread)"


def _network_namespaces() -> set[str]:
    """List the ones with a name; the others live as long as their processes, which are listed."""
    return set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()


def _files() -> set[str]:
    """List what bears our name where a test may write."""
    return {
        os.path.join(folder, name)
        for folder in ("/dev/shm", "/run", "/tmp", "/var/tmp")
        if os.path.isdir(folder)
        for name in os.listdir(folder)
        if "onggi" in name and name not in SHARED_FILES
    }


_Looks = dict[str, Callable[[], set[str]]]
_OWN: _Looks = {"descriptor": _descriptors, "mount": _mounts, "process": _processes}
_SHARED: _Looks = {"cgroup": _cgroups, "network namespace": _network_namespaces, "file": _files}
