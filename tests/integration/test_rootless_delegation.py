"""An ordinary user with a part of the cgroup tree: room is made in it, and containers lie there.

What limits hold is tried where cgroup v2 has the controllers: tests/vm.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import cgroup
from support.box import until
from support.ordinary import Ordinary, delegated, ordinary_user
from support.requirements import requires

pytestmark = [
    requires(
        "root", "shared-python", "overlayfs", "user-namespaces", "newuidmap", "busybox", "cgroup2"
    ),
    pytest.mark.time_limit(120),
]


@pytest.fixture
def user() -> Iterator[Ordinary]:
    with ordinary_user() as user:
        user("bootstrap", "busybox")
        yield user


@pytest.fixture
def part(user: Ordinary) -> Iterator[Path]:
    """Give a part of the tree that the user's commands are in, and may manage."""
    [top] = [one.mountpoint for one in cgroup.hierarchies() if one.version == 2]
    with delegated(user, Path(top)) as part:
        yield part
        ids = user("ps", "-aq").stdout.split()
        if ids:
            user("rm", "-f", *ids)


def group_of(user: Ordinary, container: str) -> str:
    pid = user("inspect", "-f", "{{.State.Pid}}", container).stdout.strip()
    return cgroup.memberships(pid)[""]


def test_containers_lie_in_it_and_leave_nothing(user: Ordinary, part: Path) -> None:
    identifier = user("run", "-d", "--name", "one", "busybox", "sleep", "600").stdout.strip()
    assert (part / "onggi" / identifier).is_dir()
    assert group_of(user, "one").endswith(f"/{part.name}/onggi/{identifier}")
    user("rm", "-f", "one")
    assert not (part / "onggi" / identifier).exists()


def test_commands_make_room_at_the_top(user: Ordinary, part: Path) -> None:
    user("run", "-d", "--name", "one", "busybox", "sleep", "600")
    if (part / "cgroup.controllers").read_text().strip():
        assert cgroup.processes(str(part)) == []
        assert cgroup.processes(str(part / "onggi-session"))  # its monitor, at least


@pytest.mark.usefixtures("part")
def test_inside_its_own_group_is_the_top(user: Ordinary) -> None:
    assert "0::/" in user.sh("cat /proc/self/cgroup").splitlines()
    seen = user.sh("mkdir /sys/fs/cgroup/unified/x /sys/fs/cgroup/x 2>&1 || true")
    assert "Read-only" in seen


@pytest.mark.usefixtures("part")
def test_a_further_program_is_in_it_too(user: Ordinary) -> None:
    user("run", "-d", "--name", "one", "busybox", "sleep", "600")
    assert "0::/" in user("exec", "one", "cat", "/proc/self/cgroup").stdout.splitlines()


@pytest.mark.usefixtures("part")
def test_it_can_be_paused(user: Ordinary) -> None:
    user("run", "-d", "--name", "one", "busybox", "sleep", "600")
    user("pause", "one")
    assert "(Paused)" in user("ps").stdout
    user("unpause", "one")
    user("commit", "one", "held")
    assert "no freezer" not in user.attempt("pause", "one").stderr


def test_from_another_session_it_is_reached_as_far_as_the_kernel_allows(
    user: Ordinary, part: Path
) -> None:
    user("run", "-d", "--name", "one", "busybox", "sleep", "600")
    user.cgroup = None
    done = user.attempt("exec", "one", "true")
    assert done.returncode == 1
    assert "in a part of the cgroup tree that this session is not in" in done.stderr
    assert "sleep 600" in user("top", "one").stdout
    user("stats", "--no-stream", "one")
    user("stop", "-t", "0", "one")
    user("rm", "one")
    until(lambda: not list((part / "onggi").glob("?" * 64)))
