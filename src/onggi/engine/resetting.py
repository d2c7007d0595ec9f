"""Removing everything an engine made, and nothing else."""

from __future__ import annotations

import errno
import os

from onggi.linux import cgroup
from onggi.resources.layout import cgroup_paths
from onggi.runtime.plan.cgroups import PARENT
from onggi.store import trees
from onggi.store.store import CONTENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.engine import Engine

# First what makes the directory a store: a reset that is cut short leaves none.
_ORDER = ("schema", "index.json")


def reset(engine: Engine) -> None:
    """Remove everything of the engine's root; see System.reset."""
    for container in engine.containers.list(all=True):
        container.remove(force=True, volumes=True)
    _remove_parents()
    root, run = engine.store.root, engine.store.run
    engine.close()
    trees.remove(run)
    for name in (*_ORDER, *sorted(CONTENTS - set(_ORDER))):
        trees.remove(f"{root}/{name}")


def _remove_parents() -> None:
    """Remove the cgroup that holds all containers', where it holds none now."""
    found = cgroup.hierarchies()
    for _, path in cgroup_paths(PARENT, "", found, cgroup.memberships()):
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY, errno.EROFS):
                raise  # what remains is another store's, or was never there
