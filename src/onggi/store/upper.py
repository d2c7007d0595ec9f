"""Whether overlayfs can have its upper directory in a place: found out by mounting one.

It cannot on another overlayfs, on most network file systems, and in a user namespace where the
kernel lets nobody mount one. The mount is detached: nobody else sees it, and it ends here.

Source: overlayfs.rst, "Upper and Lower"; fsconfig(2), whose values have 255 bytes at most, so that
directories are named by descriptors.
"""

from __future__ import annotations

import os

from onggi.linux import mount
from onggi.linux.fd import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from onggi.store.workshop import Workshop

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def refusal(lower: str, workshop: Workshop, options: Iterable[str]) -> str:
    """Return the kernel's words if it refuses; "" if it does not.

    Args: lower: an empty directory. options: of the mount, but for its directories.
    """
    place = workshop.new_directory()
    try:
        for name in ("upper", "work"):
            os.mkdir(f"{place}/{name}")
        _mount(
            {"lowerdir": lower, "upperdir": f"{place}/upper", "workdir": f"{place}/work"}, options
        )
    except OSError as error:
        return (error.strerror or "").lower()
    finally:
        workshop.remove(place)
    return ""


def _mount(directories: dict[str, str], options: Iterable[str]) -> None:
    held = {key: Fd(os.open(path, _DIRECTORY)) for key, path in directories.items()}
    try:
        with Fd(mount.fsopen("overlay")) as context:
            for option in options:
                key, equals, value = option.partition("=")
                if equals:
                    mount.fsconfig_string(context, key, value)
                else:
                    mount.fsconfig_flag(context, key)
            for key, directory in held.items():
                mount.fsconfig_string(context, key, f"/proc/self/fd/{directory.fileno()}")
            mount.fsconfig_create(context)
    finally:
        for directory in held.values():
            directory.close()
