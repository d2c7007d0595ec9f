"""Forking into namespaces and control groups: what the child is from its first instruction."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import cgroup, clone, namespace
from support.child import run_in_child
from support.requirements import requires

pytestmark = requires("root")


@pytest.fixture
def group() -> Iterator[str]:
    """Make a cgroup of version 2, if this host has mounted that hierarchy."""
    found = [one for one in cgroup.hierarchies() if one.version == 2]
    if not found:
        pytest.skip("no version 2 hierarchy is mounted")
    path = f"{found[0].mountpoint}/onggi-test-clone-{os.getpid()}"
    cgroup.make(path)
    yield path
    cgroup.clear(path)


def test_the_size_of_clone_args_is_that_of_its_third_version() -> None:
    assert clone.CLONE_ARGS.size == 88


def ended_well(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_child_is_one_of_python_as_after_os_fork() -> None:
    def body() -> None:
        called = []
        os.register_at_fork(
            before=lambda: called.append("before"),
            after_in_child=lambda: called.append("child"),
            after_in_parent=lambda: called.append("parent"),
        )
        pid = clone.fork()
        if pid == 0:
            import threading

            works = threading.Thread(target=lambda: called.append("thread"))
            works.start()
            works.join()
            os._exit(called != ["before", "child", "thread"])
        assert called == ["before", "parent"]
        assert ended_well(pid)

    run_in_child(body)


def test_the_child_is_born_in_the_group(group: str) -> None:
    fd = os.open(group, os.O_PATH | os.O_DIRECTORY)
    pid = clone.fork(cgroup_fd=fd)
    if pid == 0:
        os._exit(cgroup.memberships()[""] != "/" + os.path.basename(group))
    os.close(fd)
    assert ended_well(pid)


def test_a_user_namespace_owns_the_pid_namespace_that_is_made_with_it() -> None:
    pid = clone.fork(namespace.CLONE_NEWUSER | namespace.CLONE_NEWPID)
    if pid == 0:
        os._exit(os.getpid() != 1 or os.getuid() != 65534)
    assert ended_well(pid)


def test_a_refusal_leaves_no_child_and_says_why(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    with pytest.raises(OSError, match="Bad file descriptor") as refused:
        clone.fork(cgroup_fd=fd)
    os.close(fd)
    assert refused.value.errno == errno.EBADF
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("version", [1, 2])
def test_a_process_joins_by_itself(version: int) -> None:
    for hierarchy in cgroup.hierarchies():
        if hierarchy.version != version or "cpuset" in hierarchy.controllers:
            continue  # a new cpuset takes nobody before it has processors
        path = f"{hierarchy.mountpoint}/onggi-test-join-{os.getpid()}"
        cgroup.make(path)
        assert cgroup.is_version_2(path) == (version == 2)

        def body(path: str = path, key: str = hierarchy.key) -> None:
            cgroup.join(path)
            assert cgroup.memberships()[key] == "/" + os.path.basename(path)

        try:
            run_in_child(body)
        finally:
            cgroup.clear(path)
