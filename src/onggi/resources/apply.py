"""Carry out, one by one, what `layout` and `settings` planned."""

from __future__ import annotations

import errno

from onggi.errors import Conflict, InvalidInput, Unsupported
from onggi.linux import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.resources.layout import Enable, Inherit, Make
    from onggi.resources.setting import Setting

# A value out of range, beyond what the parent has, or for a device that is not there.
_REFUSALS = (errno.EINVAL, errno.ERANGE, errno.ENODEV, errno.ENXIO)


def make(step: Make) -> None:
    """Make a cgroup; that it exists already is fine."""
    cgroup.make(step.path)


def inherit(step: Inherit) -> None:
    """Fill an empty cpuset file from the parent's; one that has a value is left alone."""
    path = f"{step.path}/{step.file}"
    if not cgroup.read(path):
        parent = step.path.rpartition("/")[0]
        cgroup.write(path, cgroup.read(f"{parent}/{step.file}"))


def enable(step: Enable) -> None:
    """Pass controllers on to a cgroup's children; doing it again is fine.

    Raises:
        Conflict: the cgroup has processes of its own, or is threaded.
        OSError: the kernel refuses a required controller for another reason.
    """
    path = f"{step.path}/cgroup.subtree_control"
    try:
        cgroup.write(path, " ".join(f"+{name}" for name in step.controllers))
    except OSError as error:
        # Threaded controllers alone could be passed on, to children that nobody can join.
        if error.errno == errno.EBUSY:
            _explain(step.path, (step.required or step.controllers)[0], error)
        # All or nothing is how the kernel takes one write; what can be had is had one by one.
        for name in step.controllers:
            _enable_one(step, name)


def _enable_one(step: Enable, name: str) -> None:
    try:
        cgroup.write(f"{step.path}/cgroup.subtree_control", f"+{name}")
    except OSError as error:
        if name not in step.required:
            return  # it would only have been measured: `measure` then reports None
        _explain(step.path, name, error)
        raise


def _explain(path: str, name: str, error: OSError) -> None:
    """Raise what a reader can act on, where the kernel's answer is known; else return."""
    if error.errno == errno.EBUSY:
        raise Conflict(
            f"cannot pass the {name} controller on from {path}: it has processes of its own",
            hint="cgroup v2 wants them in a child of it",
        ) from error
    if error.errno in (errno.EOPNOTSUPP, errno.EINVAL) and "thread" in _type(path):
        raise Conflict(
            f"cannot pass the {name} controller on from {path}: it is a {_type(path)} cgroup",
            hint="choose a parent of type domain",
        ) from error


def _type(path: str) -> str:
    """Read cgroup.type; the root has none and is a domain."""
    try:
        return cgroup.read(f"{path}/cgroup.type")
    except FileNotFoundError:
        return "domain"


def write(setting: Setting, directory: str) -> None:
    """Write one setting into the container's cgroup of its hierarchy.

    Raises:
        Unsupported: the kernel has no such file, and the setting is not optional.
        InvalidInput: the controller refuses the value.
        OSError: the file cannot be written; the error names it and the value.
    """
    try:
        cgroup.write(f"{directory}/{setting.file}", setting.value)
    except FileNotFoundError as error:
        if not setting.optional:
            raise Unsupported(f"this kernel has no {setting.file} in {directory}") from error
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise InvalidInput(
            f"the kernel refuses '{setting.value}' for {setting.file}: {error.strerror}"
        ) from error
