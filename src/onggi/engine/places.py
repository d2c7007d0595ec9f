"""Where containers find what is theirs, and what lies beneath all of them."""

from __future__ import annotations

import os

from onggi.errors import Denied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.store.store import Store

# The files that say who and where a container is: path inside -> name in its directory.
FILES = {"/etc/hosts": "hosts", "/etc/hostname": "hostname", "/etc/resolv.conf": "resolv.conf"}
_DIRECTORIES = ("dev", "etc", "proc", "sys")


def require_own(root: str) -> None:
    """Refuse a store that somebody else could write to: what it says is done with our rights.

    Raises: Denied
    """
    try:
        status = os.stat(root)
    except FileNotFoundError:
        return
    if status.st_uid != os.geteuid():
        raise Denied(f"{root} belongs to another user", hint="each user has a store of their own")
    if status.st_mode & 0o022:
        raise Denied(f"{root} can be written by others", hint="it must be yours, with mode 700")


def run_directory(store: Store, identifier: str) -> str:
    """Return where a container keeps what lives only while it runs."""
    return f"{store.run}/{identifier}"


def root_directory(store: Store) -> str:
    """Return the directory on which containers mount their roots.

    One serves all: each mounts in a mount namespace of its own, where nobody else sees it.
    """
    path = f"{store.run}/root"
    # Root of a user namespace, who cannot reach it by its path, must be able to stand in it.
    os.makedirs(path, 0o755, exist_ok=True)
    return path


def scratch_directory(store: Store) -> str:
    """Return the directory on which a container mounts memory to write to; as `root_directory`."""
    path = f"{store.run}/scratch"
    os.makedirs(path, 0o700, exist_ok=True)
    return path


def filters(store: Store) -> str:
    """Return where compiled seccomp filters are kept; who reads one makes it at the first need."""
    return f"{store.root}/cache/seccomp"


def beneath(store: Store) -> str:
    """Return a directory with the places that every container mounts on, made at first use.

    It lies beneath the image's layers, so that an image without them needs none, and what a
    container wrote is what its program wrote.
    """
    path = f"{store.root}/places"
    if not os.path.isdir(path):
        half_made = store.workshop.new_directory()
        for name in _DIRECTORIES:
            os.makedirs(f"{half_made}/{name}", 0o755, exist_ok=True)
        for inside in FILES:
            os.close(os.open(f"{half_made}{inside}", os.O_WRONLY | os.O_CREAT, 0o644))
        _let_everybody_read(half_made)
        try:
            os.rename(half_made, path)
        except OSError:
            store.workshop.remove(half_made)  # another process was quicker
    return path


def _let_everybody_read(tree: str) -> None:
    """Give a tree of ours the modes that it should have, whatever the caller's umask is."""
    for directory, _, files in os.walk(tree):
        os.chmod(directory, 0o755)
        for name in files:
            os.chmod(f"{directory}/{name}", 0o644)
