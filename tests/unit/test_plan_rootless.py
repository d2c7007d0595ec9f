"""Plans for who is not the host's root: what is left out, done otherwise, or refused."""

from typing import Any

import pytest

from onggi.errors import InvalidInput, Unsupported
from onggi.linux.cgroup import Hierarchy
from onggi.runtime.host import Host
from onggi.runtime.plan.container import Plan, plan_container
from onggi.runtime.plan.users import UserMap
from onggi.runtime.rights import Rights
from onggi.runtime.steps import cgroups, devices, mounts
from support.hierarchies import FILES_V2
from support.plans import HOSTS, IDENTIFIER, configuration, overlay

ALONE = UserMap(((0, 1000, 1),), ((0, 1000, 1),))
MANY = UserMap(((0, 1000, 1), (1, 100_000, 65536)), ((0, 1000, 1), (1, 100_000, 65536)))
PART = Hierarchy(
    version=2,
    controllers=("memory", "pids"),
    name="",
    mountpoint="/sys/fs/cgroup/user.slice/app",
    root="/user.slice/app",
)


def user(
    users: UserMap | None = MANY, *, part: Hierarchy | None = None, groups: bool = True
) -> Host:
    """Return a host on which we are root of a user namespace with these mappings."""
    return Host(
        arch="x86_64",
        hierarchies=tuple(HOSTS["mixed"]),
        memberships={"": "/user.slice/app/shell"},
        control_files=FILES_V2,
        managed=() if part is None else (part,),
        rights=Rights(users=users, groups=groups),
    )


def rootless(host: Host, **changes: Any) -> Plan:
    """Plan an ordinary container there, without the terminals' group, with some changes."""
    config = configuration()
    for entry in config["mounts"]:
        entry["options"] = [word for word in entry["options"] if word != "gid=5"]
    config["linux"].update(changes)
    return plan_container(config, overlay(), host, identifier=IDENTIFIER)


def without(kind: str) -> list[dict[str, str]]:
    kept: list[dict[str, str]] = configuration()["linux"]["namespaces"]
    return [entry for entry in kept if entry["type"] != kind]


def test_no_cgroup_is_touched_where_none_is_ours() -> None:
    made = rootless(user())
    assert made.host == []
    assert made.join == []
    assert made.cgroups == ()


def test_limits_are_refused_where_no_cgroup_is_ours() -> None:
    with pytest.raises(Unsupported, match="memory controller") as caught:
        rootless(user(), resources={"memory": {"limit": 1 << 26}})
    assert "delegated" in caught.value.hint


def test_a_delegated_part_is_used_from_its_top_down() -> None:
    made = rootless(user(part=PART), resources={"memory": {"limit": 1 << 26}})
    assert made.cgroups == (f"{PART.mountpoint}/onggi/{IDENTIFIER}",)
    made_there = [step.make.path for step in made.host if isinstance(step, cgroups.MakeCgroup)]
    assert made_there == [f"{PART.mountpoint}/onggi", *made.cgroups]
    written = [step.argument() for step in made.host if isinstance(step, cgroups.WriteSetting)]
    assert written == [f"{made.cgroups[0]}/memory.max"]
    assert not any(isinstance(step, cgroups.AttachDeviceProgram) for step in made.host)


@pytest.mark.parametrize("path", ["/user.slice/app/pod/one", "/pod/one"])
def test_a_path_means_the_same_from_the_root_and_from_the_top(path: str) -> None:
    assert rootless(user(part=PART), cgroupsPath=path).cgroups == (f"{PART.mountpoint}/pod/one",)


def test_a_relative_path_begins_at_our_own_cgroup() -> None:
    made = rootless(user(part=PART), cgroupsPath="pod/one")
    assert made.cgroups == (f"{PART.mountpoint}/shell/pod/one",)


def test_a_controller_that_was_not_delegated_is_refused() -> None:
    with pytest.raises(Unsupported, match="cpu controller"):
        rootless(user(part=PART), resources={"cpu": {"quota": 1000, "period": 10000}})


def test_devices_are_the_hosts_own_proven_to_be_them() -> None:
    asked = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
    steps = rootless(user(), devices=asked).container
    assert devices.BindDevice("/dev/null", "c", 1, 3) in steps
    assert devices.BindDevice("/dev/fuse", "c", 10, 229) in steps
    assert not any(isinstance(step, devices.MakeDevice) for step in steps)


def test_a_fifo_is_made_for_anybody_may() -> None:
    steps = rootless(user(), devices=[{"path": "/dev/pipe", "type": "p"}]).container
    assert [step.path for step in steps if isinstance(step, devices.MakeDevice)] == ["/dev/pipe"]


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("network", "/sys"),
        ("ipc", "/dev/mqueue"),
        ("pid", "/proc"),
        ("cgroup", "/sys/fs/cgroup"),
    ],
)
def test_the_hosts_file_system_is_shown_for_a_namespace_of_the_host(kind: str, target: str) -> None:
    def at(made: Plan) -> list[mounts.BindMount | mounts.MountFilesystem]:
        both = (mounts.BindMount, mounts.MountFilesystem)
        return [s for s in made.container if isinstance(s, both) and s.target == target]

    (shown,) = at(rootless(user(), namespaces=without(kind)))
    assert isinstance(shown, mounts.BindMount)
    assert shown.source == target
    assert "rbind" in shown.options
    assert "rnosuid" in shown.options
    assert all(isinstance(step, mounts.MountFilesystem) for step in at(rootless(user())))


def test_a_mounts_owner_must_be_mapped() -> None:
    config = configuration()  # whose terminals belong to group 5
    plan_container(config, overlay(), user(MANY), identifier=IDENTIFIER)
    with pytest.raises(InvalidInput, match="'/dev/pts' has the option gid=5"):
        plan_container(config, overlay(), user(ALONE), identifier=IDENTIFIER)


def test_groups_are_refused_where_they_cannot_be_set() -> None:
    config = configuration()
    config["process"]["user"]["additionalGids"] = [27]
    plan_container(config, overlay(), user(), identifier=IDENTIFIER)
    with pytest.raises(Unsupported, match="additional groups"):
        plan_container(config, overlay(), user(groups=False), identifier=IDENTIFIER)
