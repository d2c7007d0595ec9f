"""The host's facts that planning depends on, gathered once."""

from __future__ import annotations

import os

from onggi.linux import cgroup
from onggi.resources.host import control_files
from onggi.runtime import rights
from onggi.runtime.rights import Rights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.linux.cgroup import Hierarchy


class Host:
    """What a plan may depend on besides the specification.

    A plan is a function of a specification and one of these; tests make their own.

    hierarchies: all that are mounted. managed: those in which we make cgroups, as far as they are
    ours; unless it is said otherwise, all of them whole.
    """

    __slots__ = ("arch", "control_files", "hierarchies", "managed", "memberships", "rights")

    def __init__(
        self,
        *,
        arch: str,
        hierarchies: tuple[Hierarchy, ...],
        memberships: dict[str, str],
        control_files: frozenset[str],
        managed: tuple[Hierarchy, ...] | None = None,
        rights: Rights | None = None,
    ) -> None:
        self.arch = arch  # as uname(2) says it
        self.hierarchies = hierarchies
        self.managed = hierarchies if managed is None else managed
        self.rights = rights or Rights()
        self.memberships = memberships  # of the process that makes the cgroups
        self.control_files = control_files  # see resources.host.control_files


def gather(*, groups: bool = True) -> Host:
    """Return the facts of the machine that this process runs on.

    Args: groups: whether cgroups are to be made; if not, none count as ours.
    """
    found = tuple(cgroup.hierarchies())
    memberships = cgroup.memberships()
    held = rights.gather()
    ours = managed(found, memberships) if held.is_rootless else found
    ours = ours if groups else ()
    return Host(
        arch=os.uname().machine,
        hierarchies=found,
        memberships=memberships,
        control_files=control_files(ours),
        managed=ours,
        rights=held,
    )


def managed(
    hierarchies: tuple[Hierarchy, ...], memberships: dict[str, str]
) -> tuple[Hierarchy, ...]:
    """Return the part of the hierarchies that was delegated to us, who are not the host's root."""
    from onggi.linux import delegation

    return delegation.delegated(hierarchies, memberships)
