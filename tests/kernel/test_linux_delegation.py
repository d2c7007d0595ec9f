"""Which part of cgroup v2 counts as delegated to a user, and who is in a PID namespace."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import cgroup, clone, delegation, namespace, pid_namespace
from onggi.linux.cgroup import Hierarchy
from support.child import run_in_child
from support.requirements import requires

pytestmark = requires("root", "cgroup2")

UID = 61_185
FILES = ("", "cgroup.procs", "cgroup.subtree_control")


@pytest.fixture
def tree() -> Iterator[tuple[Hierarchy, Path]]:
    """Give the version 2 hierarchy, and a cgroup of the test's own with others below: a/b."""
    (hierarchy,) = (one for one in cgroup.hierarchies() if one.version == 2)
    top = Path(hierarchy.mountpoint) / f"onggi-test-{uuid.uuid4().hex[:8]}"
    (top / "a/b").mkdir(parents=True)
    yield hierarchy, top
    cgroup.clear(str(top))


def give(*places: Path, files: tuple[str, ...] = FILES) -> None:
    for place in places:
        for name in files:
            os.chown(place / name, UID, UID)


def found(hierarchy: Hierarchy, place: Path) -> list[str]:
    """Return what counts as delegated to the user whose process is in the cgroup `place`."""
    reader, writer = os.pipe()
    group = hierarchy.root.rstrip("/") + str(place)[len(hierarchy.mountpoint) :]

    def body() -> None:
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)
        for part in delegation.delegated([hierarchy], {"": group}):
            os.write(writer, f"{part.mountpoint}\n".encode())

    run_in_child(body)
    os.close(writer)
    with open(reader) as told:
        return told.read().split()


def test_the_highest_that_is_ours(tree: tuple[Hierarchy, Path]) -> None:
    hierarchy, top = tree
    assert found(hierarchy, top / "a/b") == []
    give(top / "a/b")
    assert found(hierarchy, top / "a/b") == [str(top / "a/b")]
    give(top / "a")
    assert found(hierarchy, top / "a/b") == [str(top / "a")]
    assert found(hierarchy, top) == []


@pytest.mark.parametrize("lacking", FILES)
def test_all_of_it_must_be_ours(tree: tuple[Hierarchy, Path], lacking: str) -> None:
    hierarchy, top = tree
    give(top / "a", files=tuple(name for name in FILES if name != lacking))
    assert found(hierarchy, top / "a") == []


def test_above_what_is_not_ours_nothing_counts(tree: tuple[Hierarchy, Path]) -> None:
    hierarchy, top = tree
    give(top, top / "a/b")
    assert found(hierarchy, top / "a/b") == [str(top / "a/b")]


def test_what_holds_a_process_passes_no_controllers_on(tree: tuple[Hierarchy, Path]) -> None:
    hierarchy, top = tree

    def body() -> None:
        cgroup.join(str(top))
        (part,) = delegation.delegated([hierarchy], {"": f"/{top.name}"})
        # Root's own is all of the tree, of which the kernel's root alone may hold processes.
        assert part.mountpoint == hierarchy.mountpoint
        inside = delegation._part(hierarchy, str(top))
        assert (inside.controllers, inside.root) == ((), f"/{top.name}")

    run_in_child(body)


def test_outside_of_what_is_mounted_or_of_the_namespace_there_is_none() -> None:
    part = Hierarchy(version=2, controllers=(), name="", mountpoint="/sys", root="/here")
    assert delegation.delegated([part], {"": "/there"}) == ()
    assert delegation.delegated([part], {"": "/../x"}) == ()
    old = Hierarchy(version=1, controllers=("cpu",), name="", mountpoint="/sys", root="/")
    assert delegation.delegated([old], {"cpu": "/"}) == ()


def test_who_is_in_a_pid_namespace_and_in_those_inside() -> None:
    def wait() -> None:
        os.read(reader, 1)
        os._exit(0)

    def first() -> None:
        """Be process 1, with a child in a namespace further inside."""
        os.close(writer)
        if clone.fork(namespace.CLONE_NEWPID) == 0:
            wait()
        os.write(ready, b"x")
        os.wait()
        os._exit(0)

    reader, writer = os.pipe()
    told, ready = os.pipe()
    pid = clone.fork(namespace.CLONE_NEWPID)
    if pid == 0:
        first()
    os.close(ready)
    os.close(reader)
    assert os.read(told, 1) == b"x"
    os.close(told)
    inside = pid_namespace.processes(pid)
    assert pid in inside
    assert len(inside) == 2
    assert os.getpid() not in inside
    os.close(writer)
    os.waitpid(pid, 0)
    with pytest.raises(OSError, match=f"/proc/{pid}"):
        pid_namespace.processes(pid)
