r"""Reading /proc/PID/mountinfo.

A line holds, between single blanks: ID, parent's ID, major:minor, root, mount point, options, any
number of optional fields, a lone dash, type, source, the superblock's options. Blank, tab, newline
and backslash (and # in a source) stand as octal escapes such as \040; a source may be empty.

Source: proc_pid_mountinfo(5); the kernel's fs/proc_namespace.c, show_mountinfo.
"""

from __future__ import annotations

import os


class MountInfo:
    """One mount, as the process asked about sees it; paths are as os.fsdecode gives them.

    `optional` holds the propagation fields as they stand, such as "shared:12" or "master:3".
    """

    __slots__ = (
        "fstype",
        "id",
        "major",
        "minor",
        "mountpoint",
        "optional",
        "options",
        "parent",
        "root",
        "source",
        "super_options",
    )

    def __init__(
        self,
        *,
        id: int,  # noqa: A002  # the name it has in the manual
        parent: int,
        major: int,
        minor: int,
        root: str,
        mountpoint: str,
        options: tuple[str, ...],
        optional: tuple[str, ...],
        fstype: str,
        source: str,
        super_options: tuple[str, ...],
    ) -> None:
        self.id = id
        self.parent = parent
        self.major = major
        self.minor = minor
        self.root = root
        self.mountpoint = mountpoint
        self.options = options
        self.optional = optional
        self.fstype = fstype
        self.source = source
        self.super_options = super_options

    def __repr__(self) -> str:
        return f"<{self.fstype} mount {self.id} at {self.mountpoint!r}>"

    @property
    def shared(self) -> bool:
        """Whether mounts made here appear in a peer group."""
        return any(field.startswith("shared:") for field in self.optional)


def unescape(field: bytes) -> str:
    r"""Turn the octal escapes (\040) of one field into what they stand for."""
    if b"\\" not in field:
        return os.fsdecode(field)
    first, *escaped = field.split(b"\\")
    parts = [first]
    for part in escaped:
        parts += [bytes([int(part[:3], 8)]), part[3:]]
    return os.fsdecode(b"".join(parts))


def _parse_line(line: bytes) -> MountInfo:
    fields = line.split(b" ")
    dash = fields.index(b"-", 6)
    fstype, source, super_options = fields[dash + 1 : dash + 4]
    major, minor = fields[2].split(b":")
    return MountInfo(
        id=int(fields[0]),
        parent=int(fields[1]),
        major=int(major),
        minor=int(minor),
        root=unescape(fields[3]),
        mountpoint=unescape(fields[4]),
        options=tuple(unescape(fields[5]).split(",")),
        optional=tuple(os.fsdecode(field) for field in fields[6:dash]),
        fstype=unescape(fstype),
        source=unescape(source),
        super_options=tuple(unescape(option) for option in super_options.split(b",")),
    )


def parse(text: str | bytes) -> list[MountInfo]:
    """Parse a whole mountinfo file, in its order: a parent before what is mounted on it.

    Raises: ValueError: a line that is not of the documented form.
    """
    return [_parse_line(line) for line in os.fsencode(text).split(b"\n") if line]


def read(pid: int | str = "self") -> list[MountInfo]:
    """Read the mounts that process `pid` sees below its root."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return parse(file.read())
