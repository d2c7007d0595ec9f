"""Steps that have a security module confine the program: AppArmor's profiles, SELinux's labels."""

from __future__ import annotations

import os

from onggi.linux import procfs, security_modules
from onggi.runtime.steps.base import Context, Step


class ConfineProgram(Step):
    """Have the program, and what it executes, confined by a profile or label.

    The kernel is told just before it executes the program, by the sealed one between (stub.py):
    told now, it would confine that, and the profile would have to allow what the container's own
    program is never asked for.

    Source: aa_change_onexec(2), setexeccon(3); runc libcontainer/apparmor/apparmor_linux.go.
    """

    __slots__ = ("apparmor", "label")

    def __init__(self, label: str, *, apparmor: bool) -> None:
        self.label = label
        self.apparmor = apparmor  # else it is SELinux's

    def apply(self, context: Context) -> None:
        context.label_fd = _open_attributes(context, apparmor=self.apparmor)
        context.label = os.fsencode(f"exec {self.label}" if self.apparmor else self.label)

    def describe(self) -> str:
        what = "AppArmor profile" if self.apparmor else "SELinux label"
        return f"be confined by the {what} {self.label}"

    def shell(self) -> list[str]:
        return []  # the script's frame has `enter` do it


class LabelKeys(Step):
    """Have the keys that are made from now on labelled, the session keyring before all.

    Otherwise it would have the label of what makes containers, whose keys a policy lets no
    container search. When a program is executed, the kernel forgets the wish.

    Source: setkeycreatecon(3); runc libcontainer/standard_init_linux.go, SetKeyLabel.
    """

    __slots__ = ("label",)

    def __init__(self, label: str) -> None:
        self.label = label

    def apply(self, context: Context) -> None:
        attributes = _open_attributes(context, apparmor=False)
        try:
            fd = os.open("keycreate", os.O_WRONLY | os.O_CLOEXEC, dir_fd=attributes)
        finally:
            os.close(attributes)
        with open(fd, "wb", buffering=0) as file:
            file.write(os.fsencode(self.label))

    def describe(self) -> str:
        return f"label new keys {self.label}"

    def shell(self) -> list[str]:
        return []  # the script makes no keyring


def _open_attributes(context: Context, *, apparmor: bool) -> int:
    """Open the directory of this process's attributes; the caller owns the descriptor."""
    # An usher is in no PID namespace that the container's procfs shows.
    proc_fd = procfs.open_proc() if context.proc_fd < 0 else os.dup(context.proc_fd)
    try:
        return security_modules.open_attributes(proc_fd, apparmor=apparmor)
    finally:
        os.close(proc_fd)


class LabelMount(Step):
    """Label the root of a file system that takes no label as an option."""

    __slots__ = ("label", "path")

    def __init__(self, path: str, label: str) -> None:
        self.path = path
        self.label = label

    def apply(self, context: Context) -> None:
        fd = context.inside().open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.setxattr(fd, "security.selinux", os.fsencode(self.label) + b"\0")
        finally:
            os.close(fd)

    def describe(self) -> str:
        return f"label {self.path} {self.label}"

    def shell(self) -> list[str]:
        return []  # scripts are of containers without labels
