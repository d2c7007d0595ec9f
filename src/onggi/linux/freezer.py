"""Stopping all the processes of a control group where they are, and letting them go on.

Facts before policy:

- v1 has a freezer hierarchy: "FROZEN" is written and "FREEZING" read until every process has come
  to rest. One that forks meanwhile may slip through once, so it is asked for again.
- v2 has cgroup.freeze in every group; cgroup.events says `frozen 1` when they all rest.
- What is frozen in v1 does not die, even of SIGKILL, until it is thawed; in v2 it does.

Source: Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst; cgroup-v2.rst, "cgroup.freeze".
Since: for v2, Linux 5.2, commit 76f969e8948d ("cgroup: cgroup v2 freezer").
"""

from __future__ import annotations

import errno
import os
import time

from onggi.linux import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PATIENCE_SECONDS = 5.0
_WAIT_SECONDS = 0.001


def find(directories: Iterable[str]) -> str:
    """Return the one of a container's cgroups that can freeze, v1's first; "" if none can."""
    listed = list(directories)
    for file in ("freezer.state", "cgroup.freeze"):
        for path in listed:
            if os.path.exists(f"{path}/{file}"):
                return path
    return ""


def is_frozen(directories: Iterable[str]) -> bool:
    """Tell whether a container's cgroups are frozen, or on the way to it."""
    path = find(directories)
    if not path:
        return False
    try:
        if _is_version_1(path):
            return cgroup.read(f"{path}/freezer.state") != "THAWED"
        return cgroup.read(f"{path}/cgroup.freeze") == "1"
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return False  # removed meanwhile
        raise


def freeze(path: str) -> None:
    """Freeze cgroup `path`; return when every process in it rests.

    Raises: TimeoutError: some do not come to rest; then all are let go on.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _ask(path, frozen=True):
        if time.monotonic() >= deadline:
            thaw(path)
            raise TimeoutError(errno.ETIMEDOUT, "some processes cannot be frozen", path)
        time.sleep(_WAIT_SECONDS)


def thaw(path: str) -> None:
    """Let the processes of cgroup `path` go on; that they do already is fine."""
    _ask(path, frozen=False)


def _is_version_1(path: str) -> bool:
    return os.path.exists(f"{path}/freezer.state")


def _ask(path: str, *, frozen: bool) -> bool:
    """Write what is wanted; tell whether it is so."""
    if _is_version_1(path):
        cgroup.write(f"{path}/freezer.state", "FROZEN" if frozen else "THAWED")
        return cgroup.read(f"{path}/freezer.state") == ("FROZEN" if frozen else "THAWED")
    cgroup.write(f"{path}/cgroup.freeze", int(frozen))
    return f"frozen {int(frozen)}" in cgroup.read(f"{path}/cgroup.events").splitlines()
