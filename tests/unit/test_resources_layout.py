"""Where cgroups lie, and what must exist above them, on each kind of host."""

import pytest

from onggi.errors import InvalidInput
from onggi.linux.cgroup import Hierarchy
from onggi.resources.layout import Enable, Inherit, Make, cgroup_paths, plan_directories
from onggi.resources.settings import settings
from support.hierarchies import FILES_V2, hybrid, unified, v1, v2

NOWHERE: dict[str, str] = {}


def directories(parent: str, name: str, hierarchies: list[Hierarchy], **own: str) -> list[str]:
    return [path for _, path in cgroup_paths(parent, name, hierarchies, own)]


def test_one_directory_in_each_hierarchy() -> None:
    found = directories("/onggi", "abc", hybrid())
    assert found[0] == "/sys/fs/cgroup/cpu/onggi/abc"
    assert found[-2:] == ["/sys/fs/cgroup/systemd/onggi/abc", "/sys/fs/cgroup/unified/onggi/abc"]
    assert len(found) == len(hybrid())


def test_the_parent_itself() -> None:
    assert directories("/onggi", "", unified()) == ["/sys/fs/cgroup/onggi"]


def test_a_relative_parent_lies_below_the_callers_own() -> None:
    own = {"cpu": "/user/me", "name=systemd": "/"}
    hierarchies = [v1("cpu", "cpuacct"), v1(name="systemd")]
    assert directories("jars/./x/", "abc", hierarchies, **own) == [
        "/sys/fs/cgroup/cpu,cpuacct/user/me/jars/x/abc",
        "/sys/fs/cgroup/systemd/jars/x/abc",
    ]


@pytest.mark.parametrize("parent", ["/..", "/onggi/../../etc", "../x"])
def test_a_parent_that_climbs_is_refused(parent: str) -> None:
    with pytest.raises(InvalidInput, match="may not contain"):
        cgroup_paths(parent, "abc", unified(), {"": "/"})


@pytest.mark.parametrize(("parent", "name"), [("/a\nb", "abc"), ("/onggi", "a\nb"), ("/\0", "x")])
def test_what_no_cgroup_may_be_called_is_refused(parent: str, name: str) -> None:
    with pytest.raises(InvalidInput, match="may not contain new lines"):
        cgroup_paths(parent, name, unified(), {"": "/"})


def test_v1_makes_each_level() -> None:
    paths = cgroup_paths("/onggi", "abc", [v1("pids")], NOWHERE)
    top = "/sys/fs/cgroup/pids/onggi"
    assert [step.path for step in plan_directories(paths, ())] == [top, f"{top}/abc"]


def test_v1_fills_each_cpuset_from_above() -> None:
    paths = cgroup_paths("/onggi", "abc", [v1("cpuset", "cpu")], NOWHERE)
    shown = [
        (type(step), step.path.rpartition("/")[2], getattr(step, "file", ""))
        for step in plan_directories(paths, ())
    ]
    assert shown == [
        (Make, "onggi", ""),
        (Inherit, "onggi", "cpuset.cpus"),
        (Inherit, "onggi", "cpuset.mems"),
        (Make, "abc", ""),
        (Inherit, "abc", "cpuset.cpus"),
        (Inherit, "abc", "cpuset.mems"),
    ]


def test_v2_passes_controllers_down_from_the_root() -> None:
    hierarchies = unified()
    written = settings({"cpu": {"cpus": "0"}}, hierarchies, FILES_V2)
    plan = plan_directories(cgroup_paths("/onggi", "abc", hierarchies, NOWHERE), written)
    kinds = [(type(step), step.path) for step in plan]
    assert kinds == [
        (Enable, "/sys/fs/cgroup"),
        (Make, "/sys/fs/cgroup/onggi"),
        (Enable, "/sys/fs/cgroup/onggi"),
        (Make, "/sys/fs/cgroup/onggi/abc"),
    ]
    enable = plan[0]
    assert isinstance(enable, Enable)
    assert enable.controllers == ("cpuset", "cpu", "io", "memory", "pids")
    assert enable.required == ("cpuset",)


def test_v2_beside_v1_is_left_alone_unless_asked() -> None:
    hierarchies = [v2("hugetlb")]
    paths = cgroup_paths("/onggi", "abc", hierarchies, NOWHERE)
    assert all(isinstance(step, Make) for step in plan_directories(paths, ()))
    asked = {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}
    plan = plan_directories(paths, settings(asked, hierarchies, FILES_V2))
    assert [step.required for step in plan if isinstance(step, Enable)] == [("hugetlb",)] * 2


def test_every_step_says_why() -> None:
    paths = cgroup_paths("/onggi", "abc", hybrid() + unified(), NOWHERE)
    reasons = [step.reason for step in plan_directories(paths, ())]
    assert "the parent of the containers' cgroup of cpu" in reasons
    assert "the container's cgroup of name=systemd" in reasons
    assert all(reasons)
