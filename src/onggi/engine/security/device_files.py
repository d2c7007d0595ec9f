"""The device files that a container sees, and what its device rules let it do with them."""

from __future__ import annotations

import os
import stat

from onggi.engine.security.facts import Node
from onggi.linux.fd import Fd
from onggi.linux.path import O_DIRECTORY, O_NOFOLLOW, O_PATH, Inside, reopen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from onggi.resources.devices import Rule

KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
_MOST = 20_000  # entries looked at: what is below /dev, the container may have made
_DEEPEST = 6
# Terminals, of which each is the container's own, and memory.
_OTHERS = ("pts", "mqueue", "shm")


def nodes(inside: Inside, directories: Iterable[str], files: Iterable[str]) -> list[Node]:
    """Return the device files below `directories`, and those of `files` that are some."""
    found: dict[str, Node] = {}
    budget = [_MOST]
    for directory in directories:
        for node in _below(inside, directory, 0, budget):
            found[node.path] = node
    for path in files:
        single = _at(inside, path)
        if single is not None:
            found[path] = single
    return [found[path] for path in sorted(found)]


def _at(inside: Inside, path: str) -> Node | None:
    try:
        with Fd(inside.open(path, O_PATH | O_NOFOLLOW)) as place:
            status = os.fstat(place.fileno())
    except OSError:
        return None  # gone, or a link in a circle: nobody can open it either
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    return Node.of(path, status, kind) if kind else None


def _below(inside: Inside, path: str, depth: int, budget: list[int]) -> Iterator[Node]:
    try:
        place = Fd(inside.open(path, O_PATH | O_NOFOLLOW | O_DIRECTORY))
    except (FileNotFoundError, NotADirectoryError):
        return
    directories = []
    with place, Fd(reopen(place, os.O_RDONLY | O_DIRECTORY)) as listed:
        for name in sorted(os.listdir(listed.fileno()))[: budget[0]]:
            budget[0] -= 1
            status = _status(listed, name)
            if status is None:
                continue
            kind = KINDS.get(stat.S_IFMT(status.st_mode))
            if kind and status.st_rdev:
                yield Node.of(f"{path}/{name}", status, kind)
            elif stat.S_ISDIR(status.st_mode) and name not in _OTHERS and depth < _DEEPEST:
                directories.append(name)
    for name in directories:
        yield from _below(inside, f"{path}/{name}", depth + 1, budget)


def _status(directory: Fd, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory.fileno(), follow_symlinks=False)
    except FileNotFoundError:
        return None


def allowed(rules: Sequence[Rule], node: Node) -> str:
    """Return which of "rwm" the rules allow: each access is decided by the last rule about it."""
    access = ""
    for letter in "rwm":
        decided = [rule.allow for rule in rules if letter in rule.access and _covers(rule, node)]
        access += letter if decided[-1:] == [True] else ""
    return access


def _covers(rule: Rule, node: Node) -> bool:
    return (
        rule.kind == node.kind
        and rule.major in (None, node.major)
        and rule.minor in (None, node.minor)
    )
