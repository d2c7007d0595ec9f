"""A container's share of caches and memory bandwidth, on a stand-in for resctrl.

No machine that tests run on has the real one; so what is tried is which steps are planned, and that
they write what they say to the files that resctrl has.
"""

from pathlib import Path
from typing import Any

import pytest

from onggi.errors import Conflict, InvalidInput, Unsupported
from onggi.linux import resctrl as facts
from onggi.runtime.plan.resctrl import Machine, Share, gather, plan_share
from onggi.runtime.steps.base import Context
from onggi.runtime.steps.resctrl import JoinResctrlGroup, MakeResctrlGroup, WriteSchemata, remove

ROOT = "/sys/fs/resctrl"
ALL = frozenset(("L3", "L2", "MB", "L3_MON", "last_cmd_status"))
KNOWN = "    L3:0=7ff;1=0ff\n    MB:0=100;1= 50\n"


def planned(
    asked: dict[str, Any], known: str | None = None, resources: frozenset[str] = ALL
) -> Share:
    return plan_share(asked, "jar", Machine(ROOT, resources, known))


def test_without_a_name_the_class_is_the_containers_own() -> None:
    share = planned({"l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "schemata": ["L2:0=1"]})
    group = f"{ROOT}/jar"
    lines = ("L3:0=f", "MB:0=20", "L2:0=1")
    assert share.host == [MakeResctrlGroup(group), WriteSchemata(group, lines)]
    assert (share.join, share.own) == ([group], [group])


@pytest.mark.parametrize("name", ["info", "mon_groups", "mon_data"])
def test_what_is_the_file_system_s_own_is_no_container_s(name: str) -> None:
    with pytest.raises(InvalidInput, match="invalid intelRdt"):
        plan_share({}, name, Machine(ROOT, frozenset(("L3",)), None))


def test_an_empty_object_is_a_class_with_nothing_written() -> None:
    share = planned({})
    assert share.host == [MakeResctrlGroup(f"{ROOT}/jar")]


def test_a_named_class_is_made_and_stays() -> None:
    share = planned({"closID": "gold", "schemata": ["L3:0=f"]})
    group = f"{ROOT}/gold"
    assert share.host == [MakeResctrlGroup(group), WriteSchemata(group, ("L3:0=f",))]
    assert (share.join, share.own) == ([group], [])


def test_a_named_class_that_exists_is_joined_if_it_has_the_same() -> None:
    same = {"closID": "gold", "l3CacheSchema": "L3:1=ff;0=7FF", "memBwSchema": "MB:1=50"}
    share = planned(same, KNOWN)
    assert (share.host, share.join, share.own) == ([], [f"{ROOT}/gold"], [])
    assert planned({"closID": "gold"}, KNOWN).join == [f"{ROOT}/gold"]
    with pytest.raises(Conflict, match="has another L3 schema"):
        planned({"closID": "gold", "schemata": ["L3:0=1"]}, KNOWN)
    with pytest.raises(Conflict, match="has another L2 schema"):
        planned({"closID": "gold", "schemata": ["L2:0=1"]}, KNOWN)


def test_the_default_class() -> None:
    share = planned({"closID": "/", "enableMonitoring": True}, KNOWN)
    group = f"{ROOT}/mon_groups/jar"
    assert share.host == [MakeResctrlGroup(group)]
    assert (share.join, share.own) == ([ROOT, group], [group])


@pytest.mark.parametrize("member", ["enableMonitoring", "enableCMT", "enableMBM"])
def test_a_container_is_measured_apart(member: str) -> None:
    share = planned({member: True})
    own, apart = f"{ROOT}/jar", f"{ROOT}/jar/mon_groups/jar"
    assert share.host == [MakeResctrlGroup(own), MakeResctrlGroup(apart)]
    assert (share.join, share.own) == ([own, apart], [apart, own])


def test_bandwidth_among_the_cache_is_overruled() -> None:
    asked = {"l3CacheSchema": "MB:0=70\nL3:0=f", "memBwSchema": "MB:0=20"}
    (_, write) = planned(asked).host
    assert write == WriteSchemata(f"{ROOT}/jar", ("L3:0=f", "MB:0=20"))


@pytest.mark.parametrize(
    ("asked", "resources", "said"),
    [
        (
            {"l3CacheSchema": "L3:0=f"},
            {"MB"},
            "l3CacheSchema is specified in config, but Intel RDT/CAT",
        ),
        (
            {"memBwSchema": "MB:0=1"},
            {"L3"},
            "memBwSchema is specified in config, but Intel RDT/MBA",
        ),
        ({"enableMonitoring": True}, {"L3"}, "no monitoring"),
    ],
)
def test_what_the_machine_lacks(asked: dict[str, Any], resources: set[str], said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        planned(asked, resources=frozenset(resources))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"closID": ".."}, "invalid intelRdt.closID"),
        ({"closID": "a/b"}, "invalid intelRdt.closID"),
        ({"closID": "info"}, "invalid intelRdt.closID"),
        ({"closID": "gold"}, "there is no class of service"),
        ({"memBwSchema": "L3:0=1"}, "does not begin with MB:"),
        ({"schemata": ["L3:0=1\nMB:0=1"]}, "more than one"),
    ],
)
def test_what_makes_no_sense(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        planned(asked)


def test_a_class_that_has_the_containers_name_is_left_alone() -> None:
    with pytest.raises(Conflict, match="class of service of the container's name"):
        planned({}, KNOWN)


def test_a_line_that_is_none() -> None:
    with pytest.raises(InvalidInput, match="no line of schemata"):
        planned({"closID": "gold", "schemata": ["nonsense"]}, KNOWN)


def test_steps_write_what_they_say(tmp_path: Path) -> None:
    group = tmp_path / "jar"
    MakeResctrlGroup(str(group)).apply(Context())
    for file in ("tasks", "schemata"):
        (group / file).touch()
    WriteSchemata(str(group), ("L3:0=f",)).apply(Context())
    JoinResctrlGroup(str(group)).apply(Context())
    assert (group / "schemata").read_text() == "L3:0=f\n"
    assert (group / "tasks").read_text() == "0"
    for file in ("tasks", "schemata"):
        (group / file).unlink()
    MakeResctrlGroup(str(group)).undo()
    assert not group.exists()
    remove(str(group))


def test_what_is_there_is_read(tmp_path: Path) -> None:
    (tmp_path / "info" / "L3").mkdir(parents=True)
    (tmp_path / "gold").mkdir()
    (tmp_path / "gold" / "schemata").write_text(KNOWN)
    assert facts.resources(str(tmp_path)) == {"L3"}
    assert facts.schemata(f"{tmp_path}/none") is None
    text = facts.schemata(f"{tmp_path}/gold")
    assert text is not None
    assert facts.parse_schemata(text) == {"L3": {"0": 0x7FF, "1": 0xFF}, "MB": {"0": 100, "1": 50}}


def test_where_it_is_not_mounted() -> None:
    if facts.find():
        pytest.skip("this machine has resctrl")
    with pytest.raises(Unsupported, match="Intel RDT is not supported or enabled"):
        gather({}, "jar")
