"""Steps that build the container's file tree, and the one that makes it the only tree there is.

Every target is opened inside the container's root by the kernel itself (openat2 with
RESOLVE_IN_ROOT, no magic links) and every mount is attached to that descriptor, never to a path
that is walked a second time: whatever an image or another container does to names in between, the
mount lands on the file that was checked (CVE-2021-30465, CVE-2023-27561, CVE-2025-31133).
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.linux import device, mount, procfs
from onggi.linux.path import (
    AT_FDCWD,
    O_PATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    Inside,
    openat2,
)
from onggi.runtime.steps import options as words
from onggi.runtime.steps.base import Context, Step, quote

_PAGE = 4095  # mount(2) copies at most one page of data, with its NUL


class MountOverlay(Step):
    """Mount the stacked layers as the container's root, in its own mount namespace.

    Nobody else ever has this mount: it ends with the namespace, so that no process needs to live
    for it to be taken down.
    """

    __slots__ = ("options", "target")

    def __init__(self, target: str, options: tuple[str, ...]) -> None:
        self.target = target
        self.options = options  # as mount(2) takes them: lowerdir=…, upperdir=…, workdir=…

    def apply(self, context: Context) -> None:
        if "" in context.trees:  # the host's side mounted it: see runtime/mapped.py
            _attach_here(context)
            return
        data = ",".join(self._own())
        if len(os.fsencode(data)) <= _PAGE:
            mount.mount("overlay", self.target, "overlay", self._flags(), data)
        else:
            self._mount_by_parts()
        context.root_fd = os.open(self.target, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _own(self) -> list[str]:
        return [word for word in self.options if word != "ro"]

    def _flags(self) -> int:
        return mount.MS_RDONLY if "ro" in self.options else 0

    def _mount_by_parts(self) -> None:
        # Since Linux kernel commit 24e16e385f22 ("ovl: add support for appending lowerdirs one by
        # one") (in v6.7); older kernels refuse the key with EINVAL and have no other way.
        fs_fd = mount.fsopen("overlay")
        try:
            mount.fsconfig_string(fs_fd, "source", "overlay")
            for word in self._own():
                key, equals, value = word.partition("=")
                if key == "lowerdir":
                    for layer in split_layers(value):
                        mount.fsconfig_string(fs_fd, "lowerdir+", layer)
                elif equals:
                    mount.fsconfig_string(fs_fd, key, _unescape(value))
                else:
                    mount.fsconfig_flag(fs_fd, key)
            attributes = mount.MOUNT_ATTR_RDONLY if self._flags() else 0
            _attach_new(fs_fd, attributes, AT_FDCWD, self.target, 0)
        finally:
            os.close(fs_fd)

    def layers(self) -> list[str]:
        """Return the read-only directories, the topmost first."""
        for word in self.options:
            if word.startswith("lowerdir="):
                return split_layers(word.removeprefix("lowerdir="))
        return []

    def describe(self) -> str:
        count = len(self.layers())
        writable = any(word.startswith("upperdir=") for word in self.options)
        kind = "under one writable directory" if writable else "read-only"
        return f"stack {count} layer{'s' * (count != 1)} {kind} at {self.target}"

    def shell(self) -> list[str]:
        lines = ['mount -t overlay overlay "$root" -o \\']
        for number, word in enumerate(self.options):
            end = ",\\" if number + 1 < len(self.options) else ""
            *above, lowest = _raw_layers(word)
            lines += [*(f"{quote(layer)}:\\" for layer in above), quote(lowest) + end]
        return lines

    def argument(self) -> str:
        return self.target


class BindRoot(Step):
    """Make a directory that exists the container's root: a mount of its own over itself."""

    __slots__ = ("target",)

    def __init__(self, target: str) -> None:
        self.target = target

    def apply(self, context: Context) -> None:
        if "" in context.trees:  # the host's side opened it: see runtime/mapped.py
            _attach_here(context)
            return
        mount.mount(self.target, self.target, "", mount.MS_BIND | mount.MS_REC, "")
        context.root_fd = os.open(self.target, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def describe(self) -> str:
        return f"bind {self.target} over itself: pivot_root wants a mount point"

    def shell(self) -> list[str]:
        return ['mount --rbind "$root" "$root"']


class MountFilesystem(Step):
    """Mount a new instance of a file system inside the root."""

    __slots__ = ("fstype", "options", "source", "target")

    def __init__(self, fstype: str, source: str, target: str, options: tuple[str, ...]) -> None:
        self.fstype = fstype
        self.source = source
        self.target = target
        self.options = options

    def apply(self, context: Context) -> None:
        target_fd = _open_target(context, self.target)
        begun = bool(self.fstype == "proc" and context.procfs_fds)  # see runtime/joined.py
        try:
            fs_fd = context.procfs_fds.pop() if begun else mount.fsopen(self.fstype)
            try:
                self._configure(fs_fd)
                set_bits, _ = words.attributes(self.options)
                _attach_new(fs_fd, set_bits, target_fd, "", words.propagation(self.options))
            finally:
                os.close(fs_fd)
        finally:
            os.close(target_fd)
        if begun:  # by a process that others could see, and may have had begin something else
            os.close(procfs.open_proc_in(context.inside(), self.target))

    def _configure(self, fs_fd: int) -> None:
        mount.fsconfig_string(fs_fd, "source", self.source)
        for key, value in words.filesystem_options(self.options):
            if value is None:
                mount.fsconfig_flag(fs_fd, key)
            else:
                mount.fsconfig_string(fs_fd, key, value)

    def describe(self) -> str:
        listed = f" ({','.join(self.options)})" if self.options else ""
        return f"mount {self.fstype} at {self.target}{listed}"

    def shell(self) -> list[str]:
        given = [word for word in self.options if word not in words.PROPAGATION]
        listed = f" -o {quote(','.join(given))}" if given else ""
        return [
            f"{'plain' if _is_kernel_place(self.target) else 'directory'} {quote(self.target)}",
            f'mount -t {quote(self.fstype)}{listed} {quote(self.source)} "$at"',
            *_propagation_lines(self.options),
        ]

    def argument(self) -> str:
        return f"{self.fstype} at {self.target}"


class BindMount(Step):
    """Show a file or directory of the host inside the root."""

    __slots__ = ("options", "source", "target")

    needs_host = False  # whether only the host's root can open it

    def __init__(self, source: str, target: str, options: tuple[str, ...]) -> None:
        self.source = source
        self.target = target
        self.options = options

    def apply(self, context: Context) -> None:
        tree = context.trees.pop(self.target, -1)
        if tree < 0:
            tree = self.open_tree()
        try:
            self._attach(tree, context.inside())
        finally:
            os.close(tree)

    def open_tree(self, userns_fd: int = -1) -> int:
        """Return a detached copy of the source's mount, with the attributes that were asked for.

        Args: userns_fd: the container's user namespace, by which owners are translated where the
            options say `idmap`, or `ridmap` for everything below as well.
        """
        depth = mount.AT_RECURSIVE if "rbind" in self.options else 0
        flags = mount.OPEN_TREE_CLONE | mount.OPEN_TREE_CLOEXEC | depth
        tree = mount.open_tree(AT_FDCWD, self.source, flags)
        try:
            self._set_attributes(tree)
            self.translate(tree, userns_fd)
        except OSError:
            os.close(tree)
            raise
        return tree

    def translate(self, tree: int, userns_fd: int) -> None:
        """Have the tree show the container's owners, where it is in a user namespace and asks."""
        deep = "ridmap" in self.options
        if userns_fd >= 0 and (deep or "idmap" in self.options):
            mount.idmap(tree, userns_fd, deep=deep)

    def _set_attributes(self, tree: int) -> None:
        set_bits, clear_bits = words.attributes(self.options)
        kind = words.propagation(self.options)
        if kind:
            depth = mount.AT_RECURSIVE if kind & mount.MS_REC else 0
            empty = mount.AT_EMPTY_PATH | depth
            mount.mount_setattr(tree, "", empty, propagation=kind & ~mount.MS_REC)
        _change_flags(tree, 0, set_bits, clear_bits)
        _change_flags(tree, mount.AT_RECURSIVE, *words.recursive_attributes(self.options))

    def _attach(self, tree: int, root: Inside) -> None:
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        make = root.make_directories(self.target, 0o755) if is_directory else None
        target_fd = make if make is not None else root.make_file(self.target)
        try:
            attach(tree, target_fd)
        finally:
            os.close(target_fd)

    def describe(self) -> str:
        listed = ",".join(word for word in self.options if word not in words.BIND)
        return f"bind {self.source} to {self.target}" + (f" ({listed})" if listed else "")

    def shell(self) -> list[str]:
        source, target = quote(self.source), quote(self.target)
        bind = "--rbind" if "rbind" in self.options else "--bind"
        lines = [f"place {source} {target}", f'mount {bind} {source} "$at"']
        return [*lines, *_propagation_lines(self.options), *self.flag_lines()]

    def flag_lines(self) -> list[str]:
        """Return the lines of shell that give the mount at $at its flags."""
        lines = []
        attributes = [word for word in self.options if word in words.ATTRIBUTES]
        if attributes:
            lines.append(f'flags {",".join(attributes)} "$at"')
        below = [word[1:] for word in self.options if words.is_recursive(word)]
        if below:
            lines.append(f'flags_below {",".join(below)} "$at"')
        return lines

    def argument(self) -> str:
        return f"{self.source} at {self.target}"


def _change_flags(tree: int, depth: int, set_bits: int, clear_bits: int) -> None:
    """Change flags of a mount; those that a more privileged user namespace has set stay.

    That goes without a word for read-only alone: engines write `rw` where nobody asked for it.
    """
    if not (set_bits or clear_bits):
        return
    empty = mount.AT_EMPTY_PATH | depth
    try:
        mount.mount_setattr(tree, "", empty, attr_set=set_bits, attr_clr=clear_bits)
    except PermissionError as error:
        if clear_bits != mount.MOUNT_ATTR_RDONLY:
            error.add_note("a user namespace can't take off a flag that the host's mount has")
            raise
        mount.mount_setattr(tree, "", empty, attr_set=set_bits)


class MakeDirectory(Step):
    """Make a directory inside the root, with its parents, unless it is there."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        os.close(context.inside().make_directories(self.path, 0o755))

    def describe(self) -> str:
        return f"make the directory {self.path}, unless it is there"

    def shell(self) -> list[str]:
        return [f"directory {quote(self.path)}"]


class RemountReadonly(Step):
    """Make a mount of ours read-only, after everything was put into it."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        target_fd = context.inside().open(self.path, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mount.mount_setattr(
                target_fd, "", mount.AT_EMPTY_PATH, attr_set=mount.MOUNT_ATTR_RDONLY
            )
        finally:
            os.close(target_fd)

    def describe(self) -> str:
        return f"make the mount at {self.path} read-only"

    def shell(self) -> list[str]:
        return [f"inside {quote(self.path)}", 'flags ro "$at"']


class MaskPath(Step):
    """Hide a file behind /dev/null, or a directory behind an empty read-only one, if it exists."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        root = context.inside()
        try:
            target_fd = root.open(self.path, O_PATH | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return
            raise
        try:
            if stat.S_ISDIR(os.fstat(target_fd).st_mode):
                _mount_empty(target_fd)
            else:
                _bind_null(root, target_fd)
        finally:
            os.close(target_fd)

    def describe(self) -> str:
        return f"mask {self.path}"

    def shell(self) -> list[str]:
        return [f"mask {quote(self.path)}"]


class ReadonlyPath(Step):
    """Make what lies below a path read-only, keeping the other flags of its mount, if it exists."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def apply(self, context: Context) -> None:
        try:
            target_fd = context.inside().open(self.path, O_PATH | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return
            raise
        try:
            _overlay_itself(target_fd)
        finally:
            os.close(target_fd)

    def describe(self) -> str:
        return f"make {self.path} read-only"

    def shell(self) -> list[str]:
        return [f"read_only {quote(self.path)}"]


class RootReadonly(Step):
    """Make the root mount itself read-only; mounts on it keep their own flags."""

    __slots__ = ()

    def apply(self, context: Context) -> None:
        mount.mount_setattr(
            context.root_fd, "", mount.AT_EMPTY_PATH, attr_set=mount.MOUNT_ATTR_RDONLY
        )

    def describe(self) -> str:
        return "make the root file system read-only"

    def shell(self) -> list[str]:
        return ['flags ro "$root"']


class RootPropagation(Step):
    """Set the propagation of the root mount, for mounts made inside later."""

    __slots__ = ("mode",)

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def apply(self, context: Context) -> None:
        kind = words.PROPAGATION[self.mode]
        depth = mount.AT_RECURSIVE if kind & mount.MS_REC else 0
        mount.mount_setattr(
            context.root_fd,
            "",
            mount.AT_EMPTY_PATH | depth,
            propagation=kind & ~mount.MS_REC,
        )

    def describe(self) -> str:
        return f"make the root's propagation {self.mode}"

    def shell(self) -> list[str]:
        return [f'mount --make-{self.mode} "$root"']


class PivotRoot(Step):
    """Swap the root for the container's, and let go of the host's tree.

    ``pivot_root(".", ".")`` stacks the old root on the new one, so that no directory for it is
    needed; detaching what lies on top leaves the new root alone (pivot_root(2), "NOTES").
    """

    __slots__ = ()

    def apply(self, context: Context) -> None:
        old = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fchdir(context.root_fd)
            mount.pivot_root(".", ".")
            os.fchdir(old)
            mount.mount("", ".", "", mount.MS_SLAVE | mount.MS_REC, "")
            mount.umount2(".", mount.MNT_DETACH)
        finally:
            os.close(old)
        os.chdir("/")

    def describe(self) -> str:
        return "pivot into the root and let go of the host's tree"

    def shell(self) -> list[str]:
        return [
            "exec 7< /",
            'pivot_root "$root" "$root"',
            "$run $here/umount -c -i -n -l /proc/self/fd/7",
            "exec 7<&-",
        ]


def _attach_here(context: Context) -> None:
    """Attach the root that the host's side handed over to the working directory."""
    context.root_fd = context.trees[""]
    mount.move_mount(context.root_fd, "", AT_FDCWD, ".", mount.MOVE_MOUNT_F_EMPTY_PATH)


def split_layers(value: str) -> list[str]:
    """Split the value of lowerdir; a colon or backslash of a path stands behind a backslash."""
    layers = [""]
    escaped = False
    for character in value:
        if character == ":" and not escaped:
            layers.append("")
        elif character == "\\" and not escaped:
            escaped = True
            continue
        else:
            layers[-1] += character
        escaped = False
    return layers


def _unescape(value: str) -> str:
    return ":".join(split_layers(value.replace(":", "\\:")))


_KERNEL_PLACES = ("dev", "proc", "sys")


def _open_target(context: Context, path: str) -> int:
    """Open a mount's target, made where it is missing.

    The kernel's own file systems are mounted on real directories only. Were /proc a link of the
    image's, a later mount could change where it leads, and what is to be masked there would not be
    found, while the file system stayed in reach under another name.
    """
    if not _is_kernel_place(path):
        return context.inside().make_directories(path, 0o755)
    try:
        return _open_strictly(context, path)
    except FileNotFoundError:
        os.close(context.inside().make_directories(path, 0o755))
        return _open_strictly(context, path)


def _open_strictly(context: Context, path: str) -> int:
    strictly = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
    return openat2(context.root_fd, path, O_PATH | os.O_DIRECTORY, 0, strictly)


def _is_kernel_place(path: str) -> bool:
    return path.strip("/").split("/")[0] in _KERNEL_PLACES


def _attach_new(fs_fd: int, attributes: int, dirfd: int, target: str, propagation: int) -> None:
    """Create what `fs_fd` describes and attach it; a failure carries the kernel's own words."""
    try:
        mount.fsconfig_create(fs_fd)
        tree = mount.fsmount(fs_fd, mount.FSMOUNT_CLOEXEC, attributes)
    except OSError as error:
        log = mount.fscontext_log(fs_fd)
        if log:
            error.add_note(log)
        raise
    try:
        if propagation:
            mount.mount_setattr(
                tree, "", mount.AT_EMPTY_PATH, propagation=propagation & ~mount.MS_REC
            )
        attach(tree, dirfd, target)
    finally:
        os.close(tree)


def attach(tree: int, dirfd: int, target: str = "") -> None:
    """Attach the detached mount `tree` to `target` below `dirfd`, or to `dirfd` itself."""
    flags = mount.MOVE_MOUNT_F_EMPTY_PATH | (0 if target else mount.MOVE_MOUNT_T_EMPTY_PATH)
    mount.move_mount(tree, "", dirfd, target, flags)


def _mount_empty(target_fd: int) -> None:
    fs_fd = mount.fsopen("tmpfs")
    try:
        mount.fsconfig_string(fs_fd, "source", "tmpfs")
        mount.fsconfig_flag(fs_fd, "ro")
        mount.fsconfig_string(fs_fd, "size", "0k")
        mount.fsconfig_string(fs_fd, "mode", "0555")
        _attach_new(fs_fd, mount.MOUNT_ATTR_RDONLY, target_fd, "", 0)
    finally:
        os.close(fs_fd)


def _bind_null(root: Inside, target_fd: int) -> None:
    # The image cannot choose what hides a file: our own node, checked to be the null device
    # (CVE-2025-31133).
    null_fd = root.open("/dev/null", O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        device.verify_device(null_fd, 1, 3)
        _clone_onto(null_fd, target_fd, 0)
    finally:
        os.close(null_fd)


def _overlay_itself(target_fd: int) -> None:
    _clone_onto(target_fd, target_fd, mount.MOUNT_ATTR_RDONLY)


def _clone_onto(source_fd: int, target_fd: int, attributes: int) -> None:
    flags = (
        mount.OPEN_TREE_CLONE | mount.OPEN_TREE_CLOEXEC | mount.AT_EMPTY_PATH | mount.AT_RECURSIVE
    )
    tree = mount.open_tree(source_fd, "", flags)
    try:
        if attributes:
            mount.mount_setattr(tree, "", mount.AT_EMPTY_PATH, attr_set=attributes)
        attach(tree, target_fd)
    finally:
        os.close(tree)


def _raw_layers(word: str) -> list[str]:
    """Split an option of overlayfs where its layers meet, and leave its escapes alone."""
    parts = [""]
    for piece in word.split(":"):
        parts[-1] += piece
        if (len(piece) - len(piece.rstrip("\\"))) % 2:
            parts[-1] += ":"  # an escaped one, which belongs to a name
        else:
            parts.append("")
    return parts[:-1] or parts


def _propagation_lines(options: tuple[str, ...]) -> list[str]:
    return [f'mount --make-{word} "$at"' for word in options if word in words.PROPAGATION]
