"""The files of a container as its processes see them, volumes and memory included.

They are looked at from outside: every path is resolved by the kernel inside the container's root,
and nothing of the container's is executed, loaded or waited for (CVE-2019-14271, CVE-2018-15664).

- Of a container that runs, the root is that of its first process, with all that is mounted there.
- Of one that does not, it is mounted once more, in a mount namespace that a thread of ours has for
  a moment; what is left is a detached copy of the tree, which nobody else can reach, and which
  ends with its descriptor. Until then it can't be started.

What the kernel shows in /proc, /sys and the like is no file of the container's: looked at, it is
empty; nothing is put there.
"""

from __future__ import annotations

import os

from onggi.engine.aside import aside
from onggi.errors import Conflict, NotFound
from onggi.linux import mount, namespace
from onggi.linux.fd import Fd
from onggi.linux.filesystem import magic
from onggi.linux.path import AT_FDCWD, O_PATH, Inside
from onggi.store.tar_limits import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from onggi.engine.container import Container
    from onggi.runtime.state import State
    from onggi.store.owners import Owners

_PATIENCE_SECONDS = 10.0  # with others who copy from it, or into it
_DIRECTORY = O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
# What the kernel makes up: proc, sysfs, cgroup, cgroup2, devpts, mqueue, securityfs, debugfs,
# tracefs, bpf, pstore, binfmt_misc, configfs, efivarfs, namespaces, selinuxfs, resctrl, fusectl.
# Source: statfs(2); <linux/magic.h>.
_KERNELS_OWN = frozenset(
    (
        *(0x9FA0, 0x62656572, 0x27E0EB, 0x63677270, 0x1CD1, 0x19800202, 0x73636673, 0x64626720),
        *(0x74726163, 0xCAFE4A11, 0x6165676C, 0x42494E4D, 0x62656570, 0xDE5E81E4, 0x6E736673),
        *(0xF97CFF8C, 0x7655821, 0x65735543),
    )
)


class Files:
    """A root and what is below it, open as long as a `with` block lasts.

    `owners` translates the owners there, if a user namespace does. `whose` is how messages name it:
    "in container web", or "" for this host. `release` is called when it is closed.
    """

    __slots__ = ("_release", "inside", "owners", "root", "whose")

    def __init__(
        self,
        root: Fd,
        *,
        owners: Owners | None = None,
        whose: str = "",
        release: Callable[[], object] = lambda: None,
    ) -> None:
        self.root = root
        self.inside = Inside(root)
        self.owners = owners
        self.whose = whose
        self._release = release

    def find(self, path: str, *, follow: bool) -> Fd:
        """Open a place for looking at; a link at the end of the path is followed if told so.

        Raises: NotFound; Conflict: the path wants a directory, and there is none.
        """
        wants_directory = path.endswith(("/", "/."))
        flags = O_PATH if follow or wants_directory else O_PATH | os.O_NOFOLLOW
        try:
            return Fd(self.inside.open(os.fsencode(path), flags))
        except FileNotFoundError:
            raise self._not_found(path) from None
        except NotADirectoryError:
            raise Conflict(f"not a directory: {_shown(path)}") from None

    def _not_found(self, path: str) -> NotFound:
        where = f" {self.whose}" if self.whose else ""
        return NotFound(f"could not find the file {_shown(path)}{where}")

    def look(self, path: str) -> os.stat_result | None:
        """Tell what is at a path, all links followed; None if nothing is."""
        try:
            with self.find(path, follow=True) as place:
                return os.fstat(place.fileno())
        except NotFound:
            return None

    def enters(self, fd: int) -> bool:
        """Tell whether what an open directory holds are files that somebody made."""
        return not self.whose or magic(fd) not in _KERNELS_OWN

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.root.close()
        self._release()


def of_host() -> Files:
    """Open the files of this host, or of whatever this process sees as such."""
    return Files(Fd(os.open("/", _DIRECTORY)))


def of_container(container: Container, *, writing: bool = False) -> Files:
    """Open the files of a container, running or not.

    Raises: Conflict: it does not run, has users of its own, and is to be written to: what is
        copied up from its layers then would belong to nobody in there; or it is being started;
        Unsupported: its files are in its memory, and it does not run.
    """
    current = container.state
    owners = container.owners()
    whose = f"in container {container.name}"
    if current.is_alive():
        return Files(_running(container, current), owners=owners, whose=whose)
    if writing and owners is not None:
        raise Conflict(
            f"container {container.name} has users of its own and does not run",
            hint="start it before copying into it",
        )
    release = _kept_from_starting(container)
    try:
        root = _mounted_again(container)
    except BaseException:
        release()
        raise
    return Files(root, owners=owners, whose=whose, release=release)


def _kept_from_starting(container: Container) -> Callable[[], None]:
    """Take the lock of a container that does not run; return what gives it back.

    Two overlays that write to one directory at once are something that overlayfs does not define.
    """
    from onggi.engine import creation, places
    from onggi.runtime import rundir

    store, identifier = container.store, container.id
    lock_fd = rundir.lock(places.run_directory(store, identifier), patience=_PATIENCE_SECONDS)
    return lambda: creation.release(store, identifier, lock_fd)


def _running(container: Container, current: State) -> Fd:
    try:
        root = Fd(os.open(f"/proc/{current.pid}/root", _DIRECTORY))
    except FileNotFoundError:
        raise container.not_running() from None
    with root:
        # Afterwards: if it is the one that was started now, it was that one when it was opened.
        if not current.is_alive():
            raise container.not_running()
        return Fd(root.take())


def _mounted_again(container: Container) -> Fd:
    """Mount what it would see, and return a detached copy of that."""
    workshop = container.store.workshop
    place = workshop.new_directory()
    try:
        return aside(lambda: _mount_at(place, container))
    finally:
        workshop.remove(place)


def _mount_at(place: str, container: Container) -> Fd:
    from onggi.runtime.steps.base import Context
    from onggi.runtime.steps.mounts import BindMount, MountOverlay

    shown = [each for each in container.record["config"]["mounts"] if each["type"] == "bind"]
    namespace.unshare(namespace.CLONE_NEWNS)
    mount.mount("", "/", "", mount.MS_REC | mount.MS_PRIVATE, "")
    context = Context()
    MountOverlay(place, container.overlay().options).apply(context)
    with Fd(context.root_fd):
        for each in shown:
            if os.path.exists(each["source"]):
                options = tuple(each["options"])
                BindMount(each["source"], each["destination"], options).apply(context)
    return Fd(mount.open_tree(AT_FDCWD, place, mount.OPEN_TREE_CLONE | mount.AT_RECURSIVE))


def _shown(path: str) -> str:
    return quoted(os.fsencode(path))
