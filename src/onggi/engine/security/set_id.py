"""Programs in the root file system that run with more rights than who executes them.

The trees of the root are walked as overlayfs would merge them, each directory opened below its
tree's root with links forbidden; nothing is mounted or executed, and of a file only its inode is
looked at. What names say is anybody's.
"""

from __future__ import annotations

import errno
import os
import stat

from onggi.engine.security.findings import LOW, MEDIUM, OK, Finding, Remedy, Section
from onggi.linux import capability
from onggi.store.merge import Stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onggi.engine.security.facts import Facts, Json
    from onggi.store.merge import Found, View

_CAPABILITY = "security.capability"
_MOST = 6


def examine(facts: Facts) -> Section:
    """Say which programs carry rights, and whether they give them."""
    found = list(files(facts.trees))
    return Section(
        "set-id-files",
        "Programs with rights of their own",
        findings=[_finding(facts, found)],
        lines=[("found", str(len(found)) if found else "none")],
        facts=found,
    )


def files(trees: Sequence[str]) -> Iterator[Json]:
    """Yield what each file with a set-ID bit or capabilities gives, directory by directory.

    Args: trees: the directories of the root, the topmost first.
    """
    with Stack(trees) as stack:
        for view in stack.walk():
            for found in view.entries():
                if stat.S_ISREG(found.status.st_mode):
                    rights = _rights(view, found)
                    if any(rights.values()):
                        path = os.fsdecode(b"/" + os.path.join(view.path, found.name))
                        yield {"Path": path, **rights}


def _rights(view: View, found: Found) -> Json:
    mode = found.status.st_mode
    # Without the group's right to execute, the bit once meant locking, and gives nothing.
    set_gid = bool(mode & stat.S_ISGID and mode & stat.S_IXGRP)
    return {
        "SetUID": bool(mode & stat.S_ISUID),
        "SetGID": set_gid,
        "Capabilities": _capabilities(view, found),
    }


def _capabilities(view: View, found: Found) -> list[str]:
    place = os.path.join(b"/proc/self/fd/%d" % view.descriptors[found.source], found.name)
    try:
        raw = os.getxattr(place, _CAPABILITY, follow_symlinks=False)
        bits, _ = capability.of_file(raw)
    except ValueError:
        return []  # of a form that the kernel does not know, and does not heed
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP, errno.ENOENT):
            return []
        raise
    return [name.removeprefix("CAP_") for name in capability.names(bits)]


def _finding(facts: Facts, found: list[Json]) -> Finding:
    if not found:
        what = "no program has a set-user-ID or set-group-ID bit, or capabilities"
        return Finding("set-id-files", OK, what)
    rest = len(found) - _MOST
    details = [*map(_told, found[:_MOST]), *([f"and {rest} more"] if rest > 0 else [])]
    count = "1 program carries" if len(found) == 1 else f"{len(found)} programs carry"
    if facts.credentials.no_new_privs:
        what = f"{count} rights of their own, which no_new_privs withholds"
        return Finding("set-id-files", OK, what, details=details)
    what = f"{count} rights of their own, and give them to who executes them"
    severity = LOW if facts.own_users else MEDIUM
    remedy = Remedy(("--security-opt", "no-new-privileges"))
    return Finding("set-id-files", severity, what, remedy, details=details)


def _told(file: Json) -> str:
    rights = ["set-user-ID"] if file["SetUID"] else []
    rights += ["set-group-ID"] if file["SetGID"] else []
    rights += file["Capabilities"]
    return f"{file['Path']} ({', '.join(rights)})"
