"""The host's facts that planning depends on, gathered once."""

from __future__ import annotations

import os

from onggi.linux import cgroup
from onggi.resources.host import control_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.linux.cgroup import Hierarchy


class Host:
    """What a plan may depend on besides the specification.

    A plan is a function of a specification and one of these; tests make their own.
    """

    __slots__ = ("arch", "control_files", "hierarchies", "memberships")

    def __init__(
        self,
        *,
        arch: str,
        hierarchies: tuple[Hierarchy, ...],
        memberships: dict[str, str],
        control_files: frozenset[str],
    ) -> None:
        self.arch = arch  # as uname(2) says it
        self.hierarchies = hierarchies
        self.memberships = memberships  # of the process that makes the cgroups
        self.control_files = control_files  # see resources.host.control_files


def gather() -> Host:
    """Return the facts of the machine that this process runs on."""
    found = tuple(cgroup.hierarchies())
    return Host(
        arch=os.uname().machine,
        hierarchies=found,
        memberships=cgroup.memberships(),
        control_files=control_files(found),
    )
