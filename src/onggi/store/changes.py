"""How a snapshot differs from its layers, as `docker diff` tells it.

    A   added                C   changed                D   deleted, with all that was in it

A directory counts as changed if its mode or owner changed, or if anything below it did; its time
says nothing. A file that was copied up but is the same in mode, owner, time and size is not listed.

Source: moby pkg/archive changes.go, `addChanges`; changes_unix.go, `statDifferent`.
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.store.merge import Stack
from onggi.store.owners import Owners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onggi.store.merge import Found, View

    Change = tuple[str, str]

ADDED, CHANGED, DELETED = "A", "C", "D"
_UPPER = 0
_SECOND = 1_000_000_000
_CAPABILITY = "security.capability"
_AS_STORED = Owners((), ())


def changes(upper: str, lower: Sequence[str], owners: Owners | None = None) -> list[Change]:
    """List what `upper` adds to, changes in and deletes from the trees below, topmost first.

    Args: owners: how to read the owners in `upper`, if a user namespace wrote it.
    Returns: (kind, absolute path), sorted by path.
    """
    kinds: dict[bytes, str] = {}
    with Stack([upper, *lower]) as stack:
        pending: list[tuple[bytes, tuple[int, ...]]] = [(b"", tuple(range(1, len(lower) + 1)))]
        while pending:
            path, below = pending.pop()
            with stack.open(path, (_UPPER,)) as new, stack.open(path, below) as old:
                if new.descriptors:
                    kinds.update(_in_directory(new, old, owners or _AS_STORED))
                    pending += _to_visit(new, old)
    _add_parents(kinds)
    return [(kinds[path], "/" + os.fsdecode(path)) for path in sorted(kinds)]


def _in_directory(new: View, old: View, owners: Owners) -> Iterator[tuple[bytes, str]]:
    """Compare one directory of upper with what is to be seen of it below."""
    for found in new.entries():
        before = _visible(old, found.name)
        path = _below(new, found.name)
        if found.is_whiteout:
            if before:
                yield path, DELETED
        elif before is None:
            yield path, ADDED
        elif _differs(new, found, old, before, owners):
            yield path, CHANGED
    if new.opaque:
        made = {found.name for found in new.entries()}
        for before in old.entries():
            if before.name not in made and not before.is_whiteout:
                yield _below(new, before.name), DELETED


def _to_visit(new: View, old: View) -> list[tuple[bytes, tuple[int, ...]]]:
    visits = []
    for found in new.entries():
        if found.is_directory:
            before = _visible(old, found.name)
            visits.append((_below(new, found.name), before.trees if before else ()))
    return visits


def _visible(view: View, name: bytes) -> Found | None:
    found = view.find(name)
    return None if found is None or found.is_whiteout else found


def _below(view: View, name: bytes) -> bytes:
    return view.path + b"/" + name if view.path else name


def _differs(new: View, now: Found, old: View, before: Found, owners: Owners) -> bool:
    a, b = now.status, before.status
    uid, gid = owners.uid(a.st_uid), owners.gid(a.st_gid)
    if (a.st_mode, uid, gid, a.st_rdev) != (b.st_mode, b.st_uid, b.st_gid, b.st_rdev):
        return True
    if stat.S_ISDIR(a.st_mode):
        return False
    if a.st_size != b.st_size or not _is_same_time(a.st_mtime_ns, b.st_mtime_ns):
        return True
    held = owners.xattr(_CAPABILITY, _capability(new, now))
    return held != _capability(old, before)


def _is_same_time(a: int, b: int) -> bool:
    """Compare times; one that an archive cut to seconds is the same as the whole one."""
    if a % _SECOND and b % _SECOND:
        return a == b
    return a // _SECOND == b // _SECOND


def _capability(view: View, found: Found) -> bytes:
    directory = view.descriptors[found.source]
    place = os.path.join(b"/proc/self/fd/%d" % directory, found.name)
    try:
        return os.getxattr(place, _CAPABILITY, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.ENOENT):
            return b""
        raise


def _add_parents(kinds: dict[bytes, str]) -> None:
    """Count every directory above a change as changed."""
    for path in list(kinds):
        parent = path.rpartition(b"/")[0]
        while parent and parent not in kinds:
            kinds[parent] = CHANGED
            parent = parent.rpartition(b"/")[0]
