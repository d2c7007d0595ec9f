"""Cgroups of the test's own, in whatever hierarchies the host has mounted."""

import errno
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import cgroup, mount, process
from onggi.linux.fd import Fd
from support.child import run_in_child
from support.requirements import requires

pytestmark = requires("root")

HIERARCHIES = cgroup.hierarchies()
FREEZABLE = [one for one in HIERARCHIES if one.version == 2 or "freezer" in one.controllers]


def label(hierarchy: cgroup.Hierarchy) -> str:
    return hierarchy.key or "v2"


@pytest.fixture(params=HIERARCHIES, ids=label)
def group(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give a cgroup of the test's own in each hierarchy."""
    yield from made_in(request.param)


def made_in(hierarchy: cgroup.Hierarchy) -> Iterator[Path]:
    path = made(Path(hierarchy.mountpoint, f"onggi-test-{uuid.uuid4().hex[:12]}"))
    try:
        yield path
    finally:
        cgroup.kill(str(path))
        cgroup.remove(str(path))


def made(path: Path) -> Path:
    """Make a cgroup fit for processes: a v1 cpuset begins without any CPU."""
    assert cgroup.make(str(path))
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (path / name).exists() and not (path / "cgroup.controllers").exists():
            cgroup.write(str(path / name), cgroup.read(str(path.parent / name)))
    return path


def sleeper(group: Path) -> int:
    """Start a process that waits in `group`."""
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        cgroup.write(str(group / "cgroup.procs"), child)
    except OSError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return child


def test_the_hierarchies_are_those_of_the_process() -> None:
    memberships = cgroup.memberships()
    for one in HIERARCHIES:
        assert one.key in memberships
        assert os.path.isdir(one.directory(memberships[one.key])) or one.root != "/"
        assert set(one.controllers) <= set(memberships) or one.version == 2
    assert cgroup.memberships(1)


def test_a_group_is_made_once_and_removed_twice(group: Path) -> None:
    assert not cgroup.make(str(group))
    assert cgroup.processes(str(group)) == []
    cgroup.remove(str(group))
    cgroup.remove(str(group))
    assert cgroup.processes(str(group)) == []
    assert cgroup.children(str(group)) == []
    cgroup.kill(str(group))
    with pytest.raises(FileNotFoundError):
        cgroup.make(str(group / "below"))


def test_a_process_joins_and_everything_is_killed(group: Path) -> None:
    below = made(group / "below")
    pids = [sleeper(below), sleeper(below)]
    assert sorted(cgroup.processes(str(below))) == sorted(pids)
    cgroup.kill(str(group))
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    cgroup.remove(str(group))
    assert not group.exists()


def test_a_group_in_use_is_not_removed(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "_PATIENCE_SECONDS", 0.05)
    pid = sleeper(group)
    with pytest.raises(OSError, match="busy") as caught:
        cgroup.remove(str(group))
    assert caught.value.errno == errno.EBUSY
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_removal_waits_for_the_dying(group: Path) -> None:
    pid = sleeper(group)
    reaper = os.fork()
    if reaper == 0:
        time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        os._exit(0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.waitpid(reaper, 0)
    os.waitpid(pid, 0)
    cgroup.remove(str(group))
    assert not group.exists()


@pytest.mark.parametrize("hierarchy", FREEZABLE, ids=label)
def test_a_fork_bomb_is_killed(hierarchy: cgroup.Hierarchy) -> None:
    for group in made_in(hierarchy):
        run_in_child(lambda group=group: bomb(group))  # type: ignore[misc]


def bomb(group: Path) -> None:
    """Fork in a group as fast as it goes, at most 200 at once, until all are killed."""
    first = os.fork()
    if first == 0:
        os.setsid()
        cgroup.write(str(group / "cgroup.procs"), os.getpid())
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            if len(cgroup.processes(str(group))) < 200 and os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while len(cgroup.processes(str(group))) < 20:
        os.sched_yield()
    cgroup.kill(str(group))
    os.waitpid(first, 0)
    cgroup.remove(str(group))
    assert not group.exists()


def test_a_refused_value_is_named(group: Path) -> None:
    path = str(group / "cgroup.procs")
    with pytest.raises(OSError, match="Invalid argument") as caught:
        cgroup.write(path, "nonsense")
    assert caught.value.filename == path
    assert caught.value.errno == errno.EINVAL
    assert vars(caught.value)["value"] == "nonsense"
    assert vars(caught.value)["syscall"] == "write"
    assert "writing 'nonsense'" in caught.value.__notes__
    with pytest.raises(ProcessLookupError):
        cgroup.write(path, 2**22 - 1)


def test_no_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        cgroup.write(str(tmp_path / "memory.max"), "1")
    assert vars(caught.value)["value"] == "1"
    assert os.listdir(tmp_path) == []


def test_a_value_is_one_write() -> None:
    reader, writer = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)  # keeps each write apart
    with open(reader, "rb", buffering=0) as out:
        cgroup.write(f"/proc/self/fd/{writer}", "max 100000")
        os.close(writer)
        assert out.read(100) == b"max 100000"
        assert out.read(100) == b""


def test_a_value_taken_in_part_is_an_error() -> None:
    def body() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        process.setrlimit(process.RLIMITS["RLIMIT_FSIZE"], 3, 3)
        with Fd(process.memfd_create("onggi-test")) as file:
            path = f"/proc/self/fd/{file.fileno()}"
            with pytest.raises(OSError, match="Input/output") as caught:
                cgroup.write(path, "12345")
        assert caught.value.errno == errno.EIO

    run_in_child(body)


def test_keyed_files(group: Path) -> None:
    stat = next((one for one in ("cgroup.stat", "cpu.stat") if (group / one).exists()), None)
    if stat is not None:
        assert all(value >= 0 for value in cgroup.read_keyed(str(group / stat)).values())


def test_a_hidden_hierarchy_is_not_listed() -> None:
    def body() -> None:
        hidden = HIERARCHIES[0]
        mount.mount("none", hidden.mountpoint, "tmpfs")
        found = [one.mountpoint for one in cgroup.hierarchies()]
        assert found == [one.mountpoint for one in HIERARCHIES[1:]]

    run_in_child(body, "mount")
