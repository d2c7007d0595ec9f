"""Where a path leads in a stack of trees, as a process whose root they are would find it.

Links are followed inside the stack, whatever they say: an absolute one starts at its root, and
nothing climbs out of it.

Source: path_resolution(7).
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from onggi.store.merge import Stack, View

# The kernel gives up (ELOOP) after as many.
_MOST_LINKS = 40


def directory(stack: Stack, path: str) -> View | None:
    """Open the directory that `path` leads to; None if there is none. The view is the caller's."""
    place: list[tuple[bytes, Sequence[int]]] = [(b"", range(len(stack.roots)))]
    todo = _components(os.fsencode(path))
    links = 0
    while todo:
        name = todo.pop()
        if name == b"..":
            place = place[:-1] or place
            continue
        above, trees = place[-1]
        with stack.open(above, trees) as view:
            found = view.find(name)
            if found is None:
                return None
            if stat.S_ISLNK(found.status.st_mode):
                target = os.readlink(name, dir_fd=view.descriptors[found.source])
                place = place[:1] if target.startswith(b"/") else place
                todo += _components(target)
                links += 1
            elif found.is_directory:
                place.append((b"/".join(filter(None, (above, name))), found.trees))
            else:
                return None
        if links > _MOST_LINKS:
            return None
    return stack.open(*place[-1])


def _components(path: bytes) -> list[bytes]:
    """Return the names of a path, the first one last."""
    return [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
