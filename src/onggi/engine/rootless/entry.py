"""What makes an ordinary user root of a namespace of his own, before anything else is done.

A process that is not root joins, or makes, the user namespace of its store (holder.py). There it is
root over what the user has: it may make further namespaces, mount overlayfs in those, and own files
as any ID of the user's ranges. All else of the house goes on as for root. The working directory,
groups, mounts (see own_mounts.py) and descriptors stay what they were.

Source: user_namespaces(7).
"""

from __future__ import annotations

import errno
import os

from onggi.engine import places
from onggi.engine.rootless import delegated, holder
from onggi.errors import Conflict, Denied, InvalidInput
from onggi.linux import directories, namespace, process
from onggi.store.locks import Lock

# Where an ordinary user's store lies. Source: XDG Base Directory Specification.
_BELOW_HOME = ".local/share"
_NAME = "onggi"


def default_root() -> str:
    """Return where an ordinary user's store lies, if nothing else is asked for.

    Raises: InvalidInput: the environment does not say where the user's files are.
    """
    data = os.environ.get("XDG_DATA_HOME", "")
    home = os.environ.get("HOME", "")
    if not data.startswith("/"):  # which is to be ignored then
        if not home.startswith("/"):
            raise InvalidInput("HOME names no directory", hint="set it, or name one with --root")
        data = f"{home}/{_BELOW_HOME}"
    return f"{data}/{_NAME}"


def enter(root: str) -> None:
    """Become root of the user namespace of the store at `root`; the store is made if need be.

    The process has one thread, and is not root.

    Raises: Denied: the store is somebody else's, or IDs are refused; Unsupported: there are no
        user namespaces; Conflict: this process has threads.
    """
    root = os.path.abspath(root)
    run = f"{root}/run"
    places.require_own(root)
    try:
        directories.make(root, 0o700)
        directories.make(run, 0o700)
    except PermissionError as error:
        raise Denied(
            f"cannot make a store at {root}: {(error.strerror or '').lower()}: {error.filename}",
            hint="an ordinary user has one of his own: leave out --root, or name another",
        ) from error
    delegated.make_room()
    pidfd = _hold(run)
    try:
        _join(pidfd)
    finally:
        os.close(pidfd)


def _hold(run: str) -> int:
    """Return a pidfd of the holder, started now if there is none."""
    known = holder.Holder.read(run)
    pidfd = known.hold() if known else -1
    if pidfd >= 0:
        return pidfd
    with Lock(f"{run}/{holder.FILE}.lock"):
        known = holder.Holder.read(run)
        pidfd = known.hold() if known else -1
        if pidfd < 0:
            begun = holder.begin(known)
            holder.require_covered(known, begun)
            begun.write(run)
            pidfd = begun.hold()
    if pidfd < 0:
        raise Conflict("the process that keeps the user's namespace was killed", hint="try again")
    return pidfd


def _join(pidfd: int) -> None:
    try:
        namespace.setns(pidfd, namespace.CLONE_NEWUSER)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Conflict(
            "an ordinary user's process with threads cannot enter its namespace",
            hint="open the Engine before the first thread is started",
        ) from error
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    process.set_dumpable(True)  # our files in /proc are the user's again, who is root here


def end(run: str) -> None:
    """End the holder of a store that is about to be removed."""
    known = holder.Holder.read(run)
    if known is not None:
        known.end()
