"""Containers in a user namespace: who maps, who opens, and who becomes the first process.

Root of a user namespace may do much inside, and nothing outside: it cannot even walk to the store.
So whatever lies on the host is opened by the host's side and handed in as a detached mount, with
owners translated where the specification says so (idmapped mounts); and the file systems of the
namespace are mounted by a process that is born in it.

    host's side                                 first process
    ───────────                                 ─────────────
    forks ─────────────────────────────────────▶ is born in the user namespace, which owns its PID
                                                 namespace: else no procfs of that could be mounted
    ◀─────────────────────────────────── "map"   enters its cgroups, still as the host's root
    writes uid_map and gid_map
    opens the root and the binds
    "T" + place + fd, …, "mapped" ─────────────▶ becomes root of it
    sets its limits
    "go" ──────────────────────────────────────▶ goes on as in start.py

An ordinary user on the host's side (`Plan.alone`) may open no mounts and set no limits there, and
has its mappings written by helpers where they are more than his own (mapping.py). So the first
process, who can walk where the user can, does all of this by itself once it is mapped.

Since: Linux 5.19 for overlayfs on idmapped layers, commit f2b0d1ad4a3f ("ovl: handle idmappings for
layer fileattr{g,s}et()") and its series.
Source: user_namespaces(7); mount_setattr(2), "ID-mapped mounts".
"""

from __future__ import annotations

import os

from onggi.linux import channel, mount, namespace
from onggi.linux.path import AT_FDCWD
from onggi.runtime import failure, mapping
from onggi.runtime.steps import mounts
from onggi.runtime.steps.base import Context
from onggi.runtime.steps.process import SwitchUser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from onggi.runtime.plan.container import Plan
    from onggi.runtime.plan.users import UserMap

ROOT = ""  # the name of the root's tree among the trees, which go by where they will be
_CLONE = mount.OPEN_TREE_CLONE | mount.OPEN_TREE_CLOEXEC


def lead(plan: Plan, user_map: UserMap, pid: int, ours: int) -> None:
    """Give process `pid`, the first in a user namespace, its IDs and what it may not open itself.

    Args: ours: the host's end of the channel; at the other end the process is in `follow`.
    """
    _expect(ours, b"map")
    if plan.alone:
        mapping.write_as_user(pid, user_map)
    else:
        mapping.write(pid, user_map)
        _send_trees(plan, user_map, pid, ours)
    channel.send(ours, b"mapped")


def follow(plan: Plan, context: Context) -> None:
    """Become root of the user namespace that this process was born in; see `lead`."""
    # The working directory is carried into the new mount namespace; a path to it is not needed.
    # Who may enter it depends on whose it is: who we were, or the root that we become.
    target = _root_step(plan).target
    is_there = _may_enter(target)
    channel.send(context.report_fd, b"map")
    _receive_trees(context)
    SwitchUser(0, 0, ()).apply(context)
    if not is_there:
        os.chdir(target)


def _may_enter(path: str) -> bool:
    try:
        os.chdir(path)
    except PermissionError:
        return False
    return True


def _receive_trees(context: Context) -> None:
    while True:
        message, fds = channel.receive(context.report_fd)
        if message == b"mapped":
            return
        if not message:
            os._exit(1)  # whoever started this is gone, and with it the reason to go on
        (context.trees[os.fsdecode(message[1:])],) = fds


def _expect(ours: int, kind: bytes) -> bytes:
    """Wait for a message of this kind and return what follows the word."""
    message = channel.receive(ours)[0]
    if message.startswith(kind):
        return message[len(kind) :]
    raise failure.decode(message) or failure.died(0)


def _send_trees(plan: Plan, user_map: UserMap, pid: int, ours: int) -> None:
    """Open everything of the host that the container is to see, and hand it over."""
    userns_fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _hand_over(ours, ROOT, _open_root(_root_step(plan), user_map, userns_fd))
        for step in plan.container:
            if isinstance(step, mounts.BindMount):
                try:
                    tree = step.open_tree(userns_fd)
                except OSError as error:
                    raise failure.from_error("host", step, error) from error
                _hand_over(ours, step.target, tree)  # one source may have several
    finally:
        os.close(userns_fd)


def _hand_over(ours: int, name: str, tree: int) -> None:
    try:
        channel.send(ours, b"T" + os.fsencode(name), (tree,))
    finally:
        os.close(tree)


def _root_step(plan: Plan) -> mounts.MountOverlay | mounts.BindRoot:
    for step in plan.container:
        if isinstance(step, mounts.MountOverlay | mounts.BindRoot):
            return step
    raise failure.StartFailed("host", 0, "", "", "a user namespace needs a root of its own")


def _open_root(
    step: mounts.MountOverlay | mounts.BindRoot, user_map: UserMap, userns_fd: int
) -> int:
    if isinstance(step, mounts.MountOverlay):
        own_upper(step, user_map)
        return open_root(step, userns_fd)
    # A directory that is complete has the owners that its maker gave it.
    tree = mount.open_tree(AT_FDCWD, step.target, _CLONE | mount.AT_RECURSIVE)
    try:
        everything = mount.AT_EMPTY_PATH | mount.AT_RECURSIVE
        mount.mount_setattr(tree, "", everything, propagation=mount.MS_SLAVE)
    except OSError:
        os.close(tree)
        raise
    return tree


def open_root(step: mounts.MountOverlay, userns_fd: int) -> int:
    """Return the root as a detached mount whose layers are seen with the namespace's owners.

    Every layer must be attached somewhere while overlayfs takes hold of it, so a child does this in
    a mount namespace that ends with it.
    """
    ours, theirs = channel.pair()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _mount_root(step, userns_fd, theirs)
    os.close(theirs)
    try:
        message, fds = channel.receive(ours)
    finally:
        os.close(ours)
        os.waitpid(pid, 0)
    if message == b"root":
        return fds[0]
    raise failure.decode(message) or failure.died(0)


def _mount_root(step: mounts.MountOverlay, userns_fd: int, theirs: int) -> NoReturn:
    try:
        namespace.unshare(namespace.CLONE_NEWNS)
        mount.mount("", "/", "", mount.MS_REC | mount.MS_PRIVATE, "")
        mount.mount("tmpfs", step.target, "tmpfs", 0, "mode=700")
        os.chdir(step.target)
        mount.mount("overlay", _place("root"), "overlay", 0, _attach_layers(step, userns_fd))
        tree = mount.open_tree(AT_FDCWD, "root", _CLONE)
        channel.send(theirs, b"root", (tree,))
    except BaseException as error:  # noqa: BLE001  # whatever it is, the other end must hear of it
        channel.send(theirs, failure.from_error("host", step, error).encode())
    finally:
        os._exit(0)


def _attach_layers(step: mounts.MountOverlay, userns_fd: int) -> str:
    """Attach each layer, idmapped, to a directory here; return the options that name them.

    The writable directory is taken as it is: overlayfs writes there with the rights of its mounter,
    the host's root, whom an idmapped mount of it would not know. So what a container writes
    belongs to the host's side of its mapping, on the disk as well.
    """
    names = [
        _attach_mapped(layer, str(number), userns_fd) for number, layer in enumerate(step.layers())
    ]
    kept = [word for word in step.options if word != "ro" and not word.startswith("lowerdir=")]
    return ",".join(["lowerdir=" + ":".join(names), *kept])


def own_upper(step: mounts.MountOverlay, user_map: UserMap) -> None:
    """Give the root of the writable directory, which the container's root shows, its owner."""
    for option in step.options:
        key, _, value = option.partition("=")
        if key == "upperdir":
            upper = mounts.split_layers(value)[0]
            status = os.stat(upper)
            os.chown(upper, *user_map.outside(status.st_uid, status.st_gid))


def _attach_mapped(source: str, name: str, userns_fd: int) -> str:
    tree = mount.open_tree(AT_FDCWD, source, _CLONE)
    try:
        mount.idmap(tree, userns_fd)
        flags = mount.MOVE_MOUNT_F_EMPTY_PATH
        mount.move_mount(tree, "", AT_FDCWD, _place(name), flags)
    finally:
        os.close(tree)
    return name


def _place(name: str) -> str:
    os.mkdir(name, 0o755)
    return name
