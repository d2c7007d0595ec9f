"""What a RUN leaves in its layer only because something was mounted there.

A mount needs a file or directory to be mounted on. Where the image has none, one is made, in the
layer, and would stay there when the mount is gone: an empty ca-certificates.crt is worse than none.
So it is noted before the command which of those places are missing; afterwards those that are still
empty are removed from the layer, and the directories above them too, as far as they had to be made
or were only copied up.

Source: buildkit, executor/stubs.go.
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.linux.fd import Fd
from onggi.linux.path import O_PATH, Inside
from onggi.store.merge import is_opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# What runtimes mount or write in every container.
ALWAYS = (
    "/dev",
    "/proc",
    "/sys",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Place:
    """A path on the way to a mount: its status in the image, None where it was missing."""

    __slots__ = ("path", "status")

    def __init__(self, path: str, status: os.stat_result | None) -> None:
        self.path = path
        self.status = status


def note_places(root_fd: int, targets: Iterable[str]) -> list[Place]:
    """Note what is where mounts will go, and on the way there; the deepest first."""
    inside = Inside(root_fd)
    paths = {path for target in targets for path in _ways(inside, target)}
    places = [Place(path, _status(inside, path)) for path in paths]
    return sorted(places, key=lambda place: (-place.path.count("/"), place.path))


def _ways(inside: Inside, target: str) -> list[str]:
    """List a target and the directories above it, links followed as far as they exist."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    for length in range(len(parts), 0, -1):
        try:
            with Fd(inside.open("/".join(parts[:length]), O_PATH)) as place:
                real = os.readlink(f"/proc/self/fd/{place.fileno()}").strip("/")
        except OSError:
            continue  # missing; what is above it may exist
        parts = [*(part for part in real.split("/") if part), *parts[length:]]
        break
    return ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _status(inside: Inside, path: str) -> os.stat_result | None:
    try:
        with Fd(inside.open(path, O_PATH | os.O_NOFOLLOW)) as place:
            return os.fstat(place.fileno())
    except (FileNotFoundError, NotADirectoryError):
        return None


def remove_stubs(upper: str, places: list[Place]) -> None:
    """Remove from a layer what was only there to be mounted on; call it with nothing mounted."""
    with Fd(os.open(upper, _DIRECTORY)) as root:
        inside = Inside(root.fileno())
        for place in places:
            _remove(inside, place)


def _remove(inside: Inside, place: Place) -> None:
    """Remove one place if it is still as empty as it was made, or as the image has it."""
    try:
        number, name = inside.open_parent(place.path)
    except (FileNotFoundError, NotADirectoryError):
        return
    with Fd(number) as parent:
        try:
            status = os.stat(name, dir_fd=parent.fileno(), follow_symlinks=False)
        except FileNotFoundError:
            return
        times = os.stat(parent.fileno())
        if _is_stub(place, status) and _unlink(parent, name, status):
            # The command did not touch the directory that held the stub; neither did we.
            path = f"/proc/self/fd/{parent.fileno()}"
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _is_stub(place: Place, status: os.stat_result) -> bool:
    before = place.status
    if before is None:
        return stat.S_ISDIR(status.st_mode) or (
            stat.S_ISREG(status.st_mode) and status.st_size == 0
        )
    # A directory that was copied up, for a stub to be made in it, and is not changed itself.
    same = (before.st_mode, before.st_uid, before.st_gid) == (
        status.st_mode,
        status.st_uid,
        status.st_gid,
    )
    return same and stat.S_ISDIR(status.st_mode)


def _unlink(parent: Fd, name: bytes, status: os.stat_result) -> bool:
    """Remove an empty file or directory; an opaque directory hides something, so it stays."""
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent.fileno())
        return True
    with Fd(os.open(name, _DIRECTORY, dir_fd=parent.fileno())) as directory:
        if is_opaque(directory.fileno()):
            return False
    try:
        os.rmdir(name, dir_fd=parent.fileno())
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True
