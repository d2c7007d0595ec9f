"""Looking at and writing into a stack of layers, without attaching it anywhere.

The mount is made by file descriptors and never gets a place in any namespace: only this process
can reach it, and it is gone with the descriptor, also when the process is killed.

Facts:
- fsconfig(2) takes values of up to 255 bytes, so a long `lowerdir` is given layer by layer.
- Since Linux kernel commit 24e16e385f22 ("ovl: add support for appending lowerdirs one by one")
  (in v6.7); before, a long stack can only be given to mount(2), which needs a place for a moment.
"""

from __future__ import annotations

import errno
import os

from onggi.errors import Internal, Unsupported
from onggi.linux import mount
from onggi.linux.fd import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.oci.mount import Mount
    from onggi.store.workshop import Workshop

_LONGEST_VALUE = 255
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_root(mounts: list[Mount], workshop: Workshop) -> Fd:
    """Mount a snapshot for this process alone.

    Returns: the root directory, the caller's to close; that ends the mount.
    Raises: OSError: the kernel refused, its own words are in a note; Unsupported: no overlayfs.
    """
    if len(mounts) != 1 or mounts[0].type != "overlay":
        raise Internal(f"a snapshot of {len(mounts)} mounts is not one overlay")
    options = [option.partition("=") for option in mounts[0].options]
    values = [(key, value) for key, _, value in options]
    try:
        return _detached(values)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return _by_place(mounts[0], workshop)


def layer_by_layer(overlay: Mount) -> Mount:
    """Return the mount with each layer in an option of its own, as fsconfig(2) takes them all.

    Since: Linux 6.7, see above; `linux.probe.probe_overlay_lowerdir_append` tells.
    """
    from onggi.oci.mount import Mount as NewMount

    options: list[str] = []
    for option in overlay.options:
        key, equals, value = option.partition("=")
        if key == "lowerdir":
            options += [f"lowerdir+={_plain(layer)}" for layer in _split(value)]
        else:
            options.append(f"{key}{equals}{_plain(value)}")
    return NewMount(
        type=overlay.type, source=overlay.source, target=overlay.target, options=tuple(options)
    )


def _detached(values: list[tuple[str, str]]) -> Fd:
    with _context() as context:
        try:
            for key, value in [("source", "overlay"), *values]:
                _configure(context, key, value)
            mount.fsconfig_create(context)
        except OSError as error:
            if log := mount.fscontext_log(context):
                error.add_note(log)
            raise
        with Fd(mount.fsmount(context, mount.FSMOUNT_CLOEXEC, mount.MOUNT_ATTR_NODEV)) as root:
            # fsmount(2) gives an O_PATH descriptor; the mount lives as long as any file of it.
            return Fd(os.open(".", _DIRECTORY, dir_fd=root.fileno()))


def _context() -> Fd:
    try:
        return Fd(mount.fsopen("overlay"))
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise Unsupported("no overlayfs: images can't be built on layers") from error
        raise


def _configure(context: Fd, key: str, value: str) -> None:
    if not value:
        mount.fsconfig_flag(context, key)
    elif key != "lowerdir" or len(os.fsencode(value)) <= _LONGEST_VALUE:
        # This key is cut at commas and colons, so what is escaped in it stays so.
        mount.fsconfig_string(context, key, value if key == "lowerdir" else _plain(value))
    else:
        for layer in _split(value):
            mount.fsconfig_string(context, "lowerdir+", _plain(layer))


def _split(value: str) -> list[str]:
    """Split at colons that are not escaped."""
    parts = [""]
    rest = iter(value)
    for character in rest:
        if character == ":":
            parts.append("")
        else:
            parts[-1] += character + (next(rest, "") if character == "\\" else "")
    return parts


def _plain(value: str) -> str:
    rest = iter(value)
    return "".join(next(rest, "") if character == "\\" else character for character in rest)


def _by_place(overlay: Mount, workshop: Workshop) -> Fd:
    """Mount with mount(2) on a directory of ours, open it, and detach it at once."""
    place = workshop.new_directory()
    flags = mount.MS_NODEV | (mount.MS_RDONLY if "ro" in overlay.options else 0)
    data = ",".join(option for option in overlay.options if option != "ro")
    mount.mount("overlay", place, "overlay", flags, data)
    try:
        return Fd(os.open(place, _DIRECTORY))
    finally:
        mount.umount2(place, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
        os.rmdir(place)
