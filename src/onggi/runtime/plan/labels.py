"""Plan how a security module confines a program, and what it makes of mounts. Pure.

Source: runtime-spec config.md, "Linux Process"; config-linux.md, "Mount Label"; runc
libcontainer/rootfs_linux.go, mountToRootfs.
"""

from __future__ import annotations

from onggi.runtime.steps.labels import ConfineProgram, LabelKeys, LabelMount
from onggi.runtime.steps.options import BIND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.steps.base import Step

# The kernel's own, which no label of a container's could be right for.
_UNLABELLED = frozenset(("proc", "sysfs", "cgroup", "cgroup2", "mqueue"))


def plan_confinement(process: dict[str, Any]) -> list[Step]:
    """Return the step for what `process` is to be confined by; none if it is not."""
    if process.get("apparmorProfile"):
        return [ConfineProgram(process["apparmorProfile"], apparmor=True)]
    if process.get("selinuxLabel"):
        return [ConfineProgram(process["selinuxLabel"], apparmor=False)]
    return []


def plan_keys(process: dict[str, Any]) -> list[Step]:
    """Return the step that labels the keyring of `process`; none if it has no label."""
    return [LabelKeys(process["selinuxLabel"])] if process.get("selinuxLabel") else []


def label_options(entry: dict[str, Any], label: str) -> tuple[str, ...]:
    """Return the options that a mount needs beside its own, to have a container's mount label."""
    bound = entry.get("type") == "bind" or BIND.intersection(entry.get("options", ()))
    if bound or entry.get("type") in _UNLABELLED:
        return ()
    return (f"context={label}",)


def plan_labelled(entry: dict[str, Any], label: str) -> list[Step]:
    """Return the step after a mount that takes no such option."""
    return [LabelMount(entry["destination"], label)] if entry.get("type") == "mqueue" else []
