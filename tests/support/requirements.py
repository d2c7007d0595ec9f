"""What a test may require of its host, by name, and how each is found out: by trying.

    pytestmark = requires("root", "overlayfs")

A name is "root", "network" (a way out, on which packages could be fetched), "shared-python" (an
interpreter that ordinary users may run), one of the host's programs below, what criu can do here
(see support/criu.py), `cgroup-CONTROLLER`, `capability-NAME`, or a probe of `onggi.linux.probe`
without its prefix and with hyphens. Any other name is an error, so that a misspelt requirement
can't skip a test for ever.
ONGGI_TEST_MUST_HAVE names, with commas, what this machine is known to have: a test that lacks one
of those fails.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import criu
from support.repository import ROOT

NOBODY = 65_534
PROGRAMS = {
    "apparmor": "apparmor_parser",
    "buildah": "buildah",
    "busybox": "busybox",
    "compiler": "cc",
    "containerd": "containerd",
    "crun": "crun",
    "dockerd": str(ROOT / ".venv" / "docker" / "usr" / "sbin" / "dockerd"),
    "iproute2": "ip",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "newuidmap",
    "podman": "podman",
    "runc": "runc",
    "selinux": "secilc",
    "shellcheck": "shellcheck",
    "systemd": "busctl",
    "skopeo": "skopeo",
    "tini": "tini-static",
    "virtual-machines": "qemu-system-x86_64",
    "zstd": "zstd",
}


def requires(*names: str) -> pytest.MarkDecorator:
    """Mark a test, a class or a module with what it needs of the host."""
    return pytest.mark.requires(*names)


def must_have() -> frozenset[str]:
    """Read which requirements this machine has promised to meet."""
    return frozenset(filter(None, os.environ.get("ONGGI_TEST_MUST_HAVE", "").split(",")))


@functools.cache
def is_met(name: str) -> bool:
    """Tell whether the host has what a name stands for.

    Raises:
        LookupError: the name stands for nothing.
    """
    if name == "root":
        return os.geteuid() == 0
    if name == "network":
        return _has_network()
    if name == "shared-python":
        return _may_anybody_run(os.path.realpath(sys.executable))
    if name in criu.PARTS:
        return criu.PARTS[name]()
    if name in PROGRAMS:
        return shutil.which(PROGRAMS[name]) is not None
    if name.startswith("cgroup-"):
        return _has_controller(name.removeprefix("cgroup-"))
    if name.startswith("capability-"):
        return _has_capability(name.removeprefix("capability-"))
    from onggi.linux import probe  # here, because a unit test needs no kernel

    found = getattr(probe, "probe_" + name.replace("-", "_"), None)
    if found is None:
        raise LookupError(f"nothing is known by the requirement {name!r}")
    return bool(found())


def _has_network() -> bool:
    """Tell whether an interface is up that is not loopback, whose state is "unknown"."""
    states = Path("/sys/class/net").glob("*/operstate")
    return any(state.read_text() == "up\n" for state in states)


def _may_anybody_run(interpreter: str) -> bool:
    """Tell whether a user without rights may run it, and load its library.

    What lies below /root is root's alone.
    """
    line = [interpreter, "-IS", "-c", ""]
    try:
        done = subprocess.run(line, check=False, user=NOBODY, group=NOBODY, extra_groups=[])
    except PermissionError:
        return False
    return done.returncode == 0


def _has_capability(name: str) -> bool:
    from onggi.linux import capability

    number = capability.NUMBERS["CAP_" + name.replace("-", "_").upper()]
    return bool(capability.capget()[0] & 1 << number)


def _has_controller(name: str) -> bool:
    from onggi.linux import cgroup

    return any(name in hierarchy.controllers for hierarchy in cgroup.hierarchies())


def check(item: pytest.Item) -> None:
    """Skip a test whose requirements are not met; fail it if they were promised."""
    wanted = [name for marker in item.iter_markers("requires") for name in marker.args]
    missing = [name for name in wanted if not is_met(name)]
    if promised := must_have().intersection(missing):
        pytest.fail(f"this machine must have: {', '.join(sorted(promised))}", pytrace=False)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
