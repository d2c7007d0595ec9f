"""The host's devices that a container is let use: `--device`, and all of them when privileged."""

from __future__ import annotations

import os
import stat

from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Nodes = list[dict[str, Any]]

_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
# What a container has of its own below /dev. Source: moby pkg oci, devicesFromPath.
_OWN = ("console", "fd", "mqueue", "ptmx", "pts", "shm", ".lxc", ".lxd-mounts", ".udev")


def asked(text: str) -> tuple[Nodes, Nodes]:
    """Read Docker's `--device`; return the nodes to make and the rules that allow them.

    A directory stands for all devices in it.

    Raises: InvalidInput: no such device, or permissions other than r, w and m.
    """
    source, target, access = parse(text)
    try:
        status = os.stat(source)
    except OSError as error:
        raise InvalidInput(f"no device at {source}: {(error.strerror or '').lower()}") from error
    if stat.S_ISDIR(status.st_mode):
        nodes = list(_below(source, target))
    else:
        nodes = [node for node in (_node(target, status),) if node is not None]
    if not nodes:
        raise InvalidInput(f"not a device node: {source}")
    return nodes, [_rule(node, access) for node in nodes]


def rule(text: str) -> dict[str, Any]:
    """Read Docker's `--device-cgroup-rule`, a line such as "c 1:3 rwm"; return what it allows.

    Raises: InvalidInput: it has another form.
    Source: admin-guide/cgroup-v1/devices.rst, "Description".
    """
    kind, _, rest = text.partition(" ")
    numbers, _, access = rest.partition(" ")
    major, colon, minor = numbers.partition(":")
    named = {key: word for key, word in (("major", major), ("minor", minor)) if word != "*"}
    if (
        kind not in ("a", "b", "c")
        or not (colon and _is_access(access))
        or not all(word.isascii() and word.isdigit() for word in named.values())
    ):
        raise InvalidInput(
            f"invalid device cgroup format {text!r}", hint="as in 'c 1:3 rwm' or 'b 8:* r'"
        )
    counted = {key: int(word) for key, word in named.items()}
    return {"allow": True, "type": kind, **counted, "access": access}


def bound(text: str) -> Nodes:
    """Read the same; return mounts that show the host's nodes, where none can be made."""
    source, target, _ = parse(text)
    return [
        {
            "destination": node["path"],
            "type": "bind",
            "source": source + node["path"].removeprefix(target),
            "options": ["bind", "rprivate", "nosuid", "noexec"],
        }
        for node in asked(text)[0]
    ]


def parse(text: str) -> tuple[str, str, str]:
    """Split SOURCE[:TARGET][:rwm] into these three, each filled in.

    Raises: InvalidInput: it has another form.
    """
    source, *rest = text.split(":")
    target, access = source, "rwm"
    if rest and _is_access(rest[-1]):
        access = rest.pop()
    if rest:
        target = rest.pop(0)
    if rest or not target.startswith("/"):
        raise InvalidInput(f"invalid device specification: {text}", hint="SOURCE[:TARGET][:rwm]")
    return source, target, access


def all_of_host() -> Nodes:
    """Return a node for every device of the host's /dev."""
    return list(_below("/dev", "/dev"))


def _below(source: str, target: str) -> Iterator[dict[str, Any]]:
    for entry in sorted(os.scandir(source), key=lambda each: each.name):
        if entry.name in _OWN:
            continue
        inside = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, inside)
            continue
        node = _node(inside, entry.stat(follow_symlinks=False))
        if node is not None:
            yield node


def _node(path: str, status: os.stat_result) -> dict[str, Any] | None:
    """Return the node that is like one of the host; None if that is no device."""
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None or status.st_rdev == 0:  # 0:0 is overlayfs's mark of what is not there
        return None
    return {
        "path": path,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def _rule(node: dict[str, Any], access: str) -> dict[str, Any]:
    numbers = {name: node[name] for name in ("type", "major", "minor")}
    return {"allow": True, **numbers, "access": access}


def _is_access(word: str) -> bool:
    """Tell whether it is some of the letters r, w and m, each at most once."""
    return bool(word) and len(set(word)) == len(word) and not set(word) - set("rwm")
