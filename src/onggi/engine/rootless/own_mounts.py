"""A mount namespace for those commands of an ordinary user that mount something themselves.

Containers have their own anyway. To copy the mounts takes some milliseconds, and to take them down
again at the end some more: so only what needs it does it.

Source: mount_namespaces(7); user_namespaces(7), "Interaction of user namespaces and other types of
namespaces": whoever mounts must have the right over the user namespace that owns the mounts.
"""

from __future__ import annotations

from onggi.linux import identity, namespace, user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.store.store import Store

_FILE = "upper"  # in the run directory: boot ID, a line, and why overlayfs cannot write there


def require() -> None:
    """Take a mount namespace of our own, unless we are the machine's root; twice does no harm.

    In a program with threads it is this thread's alone.
    """
    if not user_namespace.is_first():
        namespace.unshare(namespace.CLONE_NEWNS)


def refusal(store: Store) -> str:
    """Return why overlayfs cannot write in an ordinary user's store; "" if it can, or for root.

    It is tried once in each boot.
    """
    if user_namespace.is_first():
        return ""
    from onggi.store.atomic import write_file

    path, boot = f"{store.run}/{_FILE}", identity.boot_id()
    try:
        with open(path, encoding="utf-8") as file:
            seen, _, reason = file.read().partition("\n")
        if seen == boot:
            return reason
    except FileNotFoundError:
        pass
    require()
    reason = store.snapshots.refusal()
    write_file(path, f"{boot}\n{reason}".encode(), durable=False)
    return reason
