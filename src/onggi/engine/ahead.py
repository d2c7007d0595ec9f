"""What comes before everything else: the namespace to work in, and a head start for `run`.

Apart from the rest of the engine, because it must be there before the rest is imported.
"""

from __future__ import annotations

import os

from onggi.linux import user_namespace


def is_root() -> bool:
    """Tell whether this process is root already, the machine's or a namespace's."""
    return os.geteuid() == 0


def ready(root: str | None) -> str | None:
    """Have this process be root, if only of its user's namespace.

    Args: root: where the store lies, if somebody said so.
    Returns: the same, or where the user's store lies; None: where the machine's root has it.
    Raises: as `rootless.entry`, for whoever is not the machine's root.
    """
    if is_root() and (root or user_namespace.is_first()):
        return root
    from onggi.engine.rootless import entry

    root = root or entry.default_root()
    if not is_root():
        entry.enter(root)
    return root


def ready_to_mount(root: str | None) -> None:
    """As `ready`, and have a mount namespace of our own."""
    from onggi.engine.rootless import own_mounts

    ready(root)
    own_mounts.require()


def fork_ahead(root: str | None) -> tuple[str | None, int]:
    """Fork what will be a monitor, see runtime/ahead.py.

    Returns: what `ready` does, and what an Engine on it takes as `ahead_fd`.
    Raises: as `ready`.
    """
    from onggi.runtime import ahead

    root = ready(root)
    return root, ahead.fork_ahead()
