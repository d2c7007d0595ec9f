"""What this process may do to the machine, found out once: the host's root may do all of it.

Others make containers as well: an ordinary user, whose containers have a user namespace each, and
who is root in a user namespace of his own (as in `podman unshare`). What these lack, a plan leaves
out or does otherwise, and refuses where it was asked for.

Source: user_namespaces(7), "Capabilities", "Effect of capabilities within a user namespace".
"""

from __future__ import annotations

import os

from onggi.linux import capability, user_namespace
from onggi.runtime.plan.users import UserMap

_SYS_ADMIN = 1 << capability.NUMBERS["CAP_SYS_ADMIN"]


class Rights:
    """The rights that planning depends on.

    users: the mappings of the user namespace that we are in; None: the first one, which has all.
    mounts: whether we may mount, and make namespaces, without a user namespace made for it.
    groups: whether a process may have additional groups.
    """

    __slots__ = ("groups", "mounts", "users")

    def __init__(
        self, *, users: UserMap | None = None, mounts: bool = True, groups: bool = True
    ) -> None:
        self.users = users
        self.mounts = mounts
        self.groups = groups

    @property
    def is_rootless(self) -> bool:
        """Whether the host's devices, limits and other owners are out of reach."""
        return self.users is not None or not self.mounts


def gather() -> Rights:
    """Return the rights of this process."""
    if user_namespace.is_first():
        return Rights(mounts=os.geteuid() == 0 or _may_administer())
    users = UserMap(user_namespace.mappings("uid"), user_namespace.mappings("gid"))
    return Rights(users=users, mounts=_may_administer(), groups=user_namespace.may_set_groups())


def _may_administer() -> bool:
    return bool(capability.capget()[0] & _SYS_ADMIN)
