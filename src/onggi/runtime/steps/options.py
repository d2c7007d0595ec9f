"""Mount option words and the kernel's bits for them: facts, shared by planning and applying.

Three kinds of word: attributes of one mount (`MOUNT_ATTR_*`, mount_setattr(2)), propagation, and
flags of the file system's super block, which fsconfig(2) takes by name. Everything else is the
file system's own.

Source: runtime-spec config.md, "Linux mount options"; mount(8), "FILESYSTEM-INDEPENDENT MOUNT
OPTIONS".
"""

from __future__ import annotations

from onggi.linux import mount

# word -> (bits set, bits cleared)
ATTRIBUTES: dict[str, tuple[int, int]] = {
    "ro": (mount.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, mount.MOUNT_ATTR_RDONLY),
    "nosuid": (mount.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, mount.MOUNT_ATTR_NOSUID),
    "nodev": (mount.MOUNT_ATTR_NODEV, 0),
    "dev": (0, mount.MOUNT_ATTR_NODEV),
    "noexec": (mount.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, mount.MOUNT_ATTR_NOEXEC),
    "nodiratime": (mount.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, mount.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (mount.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, mount.MOUNT_ATTR_NOSYMFOLLOW),
    "noatime": (mount.MOUNT_ATTR_NOATIME, mount.MOUNT_ATTR__ATIME),
    "relatime": (mount.MOUNT_ATTR_RELATIME, mount.MOUNT_ATTR__ATIME),
    "strictatime": (mount.MOUNT_ATTR_STRICTATIME, mount.MOUNT_ATTR__ATIME),
}

PROPAGATION: dict[str, int] = {
    "private": mount.MS_PRIVATE,
    "shared": mount.MS_SHARED,
    "slave": mount.MS_SLAVE,
    "unbindable": mount.MS_UNBINDABLE,
    "rprivate": mount.MS_PRIVATE | mount.MS_REC,
    "rshared": mount.MS_SHARED | mount.MS_REC,
    "rslave": mount.MS_SLAVE | mount.MS_REC,
    "runbindable": mount.MS_UNBINDABLE | mount.MS_REC,
}

SUPERBLOCK = frozenset(("ro", "sync", "dirsync", "lazytime", "mand"))

# Words that say how to mount, not what: they never reach the kernel as options.
BIND = frozenset(("bind", "rbind"))
IGNORED = frozenset(
    ("defaults", "async", "nolazytime", "nomand", "noiversion", "loud", "silent", "tmpcopyup", "rw")
)


def attributes(options: tuple[str, ...]) -> tuple[int, int]:
    """Return (bits to set, bits to clear) for the per-mount words among `options`, in order."""
    set_bits = clear_bits = 0
    for word in options:
        if word in ATTRIBUTES:
            sets, clears = ATTRIBUTES[word]
            set_bits = set_bits & ~clears | sets
            clear_bits |= clears
    return set_bits, clear_bits


def recursive_attributes(options: tuple[str, ...]) -> tuple[int, int]:
    """Return the same for the recursive words ("rro", "rnosuid", …)."""
    return attributes(tuple(word[1:] for word in options if is_recursive(word)))


def is_recursive(word: str) -> bool:
    """Tell whether `word` asks for an attribute on a mount and everything below it."""
    return word.startswith("r") and word[1:] in ATTRIBUTES and word not in ATTRIBUTES


def propagation(options: tuple[str, ...]) -> int:
    """Return the propagation that the last such word asks for, or 0."""
    found = 0
    for word in options:
        found = PROPAGATION.get(word, found)
    return found


def filesystem_options(options: tuple[str, ...]) -> list[tuple[str, str | None]]:
    """Return what fsconfig(2) is told: (key, value), with None as value for a bare flag."""
    result: list[tuple[str, str | None]] = []
    for word in options:
        if word in SUPERBLOCK:
            result.append((word, None))
        elif not _says_how(word):
            key, equals, value = word.partition("=")
            result.append((key, value if equals else None))
    return result


def _says_how(word: str) -> bool:
    return (
        word in ATTRIBUTES
        or word in PROPAGATION
        or word in BIND
        or word in IGNORED
        or is_recursive(word)
        or word == "idmap"
        or word == "ridmap"
    )
