"""Containers whose cgroups are a scope of systemd's: what it is told, and when."""

from typing import Any

import pytest

from onggi.errors import InvalidInput
from onggi.resources.devices import ALLOW_ALL, DEFAULT_RULES
from onggi.resources.setting import Setting
from onggi.resources.settings import settings
from onggi.resources.unit_properties import INFINITY, device_properties, unit_properties
from onggi.runtime.host import Host
from onggi.runtime.plan.container import plan_container
from onggi.runtime.plan.scope import Unit, add_scope, annotated, expand_slice, read_unit
from onggi.runtime.steps import cgroups
from onggi.runtime.steps.scope import StartScope
from support.hierarchies import FILES_V1, FILES_V2, legacy, v2

MIB = 1 << 20
RESOURCES = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 1024, "quota": 12_345, "period": 100_000, "cpus": "0,9"},
    "pids": {"limit": 33},
}
UNIFIED = v2("cpuset", "cpu", "io", "memory", "pids")


@pytest.mark.parametrize(
    ("path", "name", "slice_", "place"),
    [
        ("", "onggi-jar.scope", "system.slice", "/system.slice/onggi-jar.scope"),
        ("/", "onggi-jar.scope", "system.slice", "/system.slice/onggi-jar.scope"),
        (":libpod:abc", "libpod-abc.scope", "system.slice", "/system.slice/libpod-abc.scope"),
        (
            "machine-a.slice:libpod:abc",
            "libpod-abc.scope",
            "machine-a.slice",
            "/machine.slice/machine-a.slice/libpod-abc.scope",
        ),
        ("-.slice::abc", "abc.scope", "-.slice", "/abc.scope"),
    ],
)
def test_a_path_names_a_scope(path: str, name: str, slice_: str, place: str) -> None:
    unit = read_unit(path, "jar")
    assert (unit.name, unit.slice, unit.path) == (name, slice_, place)


@pytest.mark.parametrize(
    "path",
    ["/onggi/jar", "a:b", "a.slice:b:c:d", "a.slice:b:", "a:b:c", "-a.slice:b:c", "a--b.slice:c:d"],
)
def test_another_form_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        read_unit(path, "jar")


@pytest.mark.parametrize(
    "path",
    [
        "a.slice:b:c\n",
        'a.slice:b:c"',
        "a.slice:b:c d",
        "a.slice:b:é",
        "a.slice:$(b):c",
        "a\n.slice::c",
    ],
)
def test_a_name_that_no_unit_may_have_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="no systemd unit may be called"):
        read_unit(path, "jar")


@pytest.mark.parametrize("name", ["Slice", "Delegate", "PIDs"])
def test_what_makes_the_scope_the_container_s_is_no_annotation_s(name: str) -> None:
    with pytest.raises(InvalidInput, match="the runtime's own"):
        annotated({f"org.systemd.property.{name}": "'another.slice'"})


def test_a_slice_lies_in_those_that_its_name_begins_with() -> None:
    assert expand_slice("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"


def said(resources: dict[str, Any], *, version: int) -> dict[str, tuple[str, ...]]:
    hierarchies, files = ([UNIFIED], FILES_V2) if version == 2 else (legacy(), FILES_V1)
    planned = settings(resources, hierarchies, files)
    return {name: tuple(words) for name, *words in unit_properties(planned)}


def test_numbers_of_version_2() -> None:
    assert said(RESOURCES, version=2) == {
        "MemoryMax": ("t", str(64 * MIB)),
        "MemoryLow": ("t", str(32 * MIB)),
        "MemorySwapMax": ("t", str(32 * MIB)),
        "CPUWeight": ("t", "100"),
        "TasksMax": ("t", "33"),
        "AllowedCPUs": ("ay", "2", "1", "2"),
        "CPUQuotaPeriodUSec": ("t", "100000"),
        "CPUQuotaPerSecUSec": ("t", "130000"),  # of 123450, in hundredths of a processor
    }


def test_numbers_of_version_1() -> None:
    found = said(RESOURCES, version=1)
    assert found["MemoryLimit"] == ("t", str(64 * MIB))
    assert found["CPUShares"] == ("t", "1024")
    assert found["CPUQuotaPerSecUSec"] == ("t", "130000")
    assert found["TasksMax"] == ("t", "33")


def test_what_has_no_limit_is_infinite() -> None:
    found = said({"memory": {"limit": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}}, version=2)
    assert found["MemoryMax"] == ("t", INFINITY)
    assert found["TasksMax"] == ("t", INFINITY)
    assert found["CPUQuotaPerSecUSec"] == ("t", INFINITY)


def test_files_that_systemd_has_no_word_for_are_left_to_us() -> None:
    setting = Setting(hierarchy=UNIFIED, file="cpu.uclamp.max", value="5", reason="")
    assert unit_properties([setting]) == []


def test_devices() -> None:
    policy, (_, signature, count, *words) = device_properties(DEFAULT_RULES)
    assert policy == ("DevicePolicy", "s", "strict")
    listed = dict(zip(words[::2], words[1::2], strict=True))
    assert (signature, int(count)) == ("a(ss)", len(listed))
    assert listed == {
        "char-*": "m",
        "block-*": "m",
        **{f"/dev/char/1:{minor}": "rwm" for minor in (3, 5, 7, 8, 9)},
        "/dev/char/5:0": "rwm",
        "/dev/char/5:2": "rwm",
        "char-136": "rwm",
    }
    assert device_properties(ALLOW_ALL)[0] == ("DevicePolicy", "s", "auto")
    assert device_properties([]) == []


def test_annotations_are_properties() -> None:
    prefix = "org.systemd.property."
    found = annotated(
        {
            f"{prefix}CollectMode": "'inactive-or-failed'",
            f"{prefix}TimeoutStopSec": "uint64 5",
            f"{prefix}KillSignal": "37",
            f"{prefix}SendSIGKILL": "false",
            "org.example": "other",
        }
    )
    assert found == [
        ("CollectMode", "s", "inactive-or-failed"),
        ("TimeoutStopUSec", "t", "5000000"),
        ("KillSignal", "i", "37"),
        ("SendSIGKILL", "b", "false"),
    ]
    for key, value in (("Bad-Name", "1"), ("Good", "[1, 2]"), ("WaitSec", "true")):
        with pytest.raises(InvalidInput, match="annotation"):
            annotated({f"{prefix}{key}": value})


def planned_host(resources: dict[str, Any]) -> list[Any]:
    unit = Unit("onggi-jar.scope", "system.slice")
    config: dict[str, Any] = {
        "process": {"args": ["true"], "cwd": "/"},
        "root": {"path": "/jar"},
        "linux": {
            "namespaces": [{"type": "mount"}],
            "resources": resources,
            "cgroupsPath": unit.path,
        },
    }
    host = Host(
        arch="x86_64",
        hierarchies=(UNIFIED,),
        memberships={"": "/"},
        control_files=FILES_V2,
    )
    plan = plan_container(config, (), host, identifier="jar")
    add_scope(plan, unit, config, 1234)
    return plan.host


def test_the_scope_comes_first_and_then_every_number() -> None:
    first, *rest = planned_host(RESOURCES)
    assert isinstance(first, StartScope)
    assert (first.unit, first.pid) == ("onggi-jar.scope", 1234)
    assert first.paths == ("/sys/fs/cgroup/system.slice/onggi-jar.scope",)
    names = {name for name, *_ in first.properties}
    assert {"Slice", "Delegate", "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec"} <= names
    written = {step.setting.file for step in rest if isinstance(step, cgroups.WriteSetting)}
    assert {"memory.max", "pids.max", "cpu.max"} <= written


def test_what_systemd_made_is_not_ours_to_take_away() -> None:
    made = [step for step in planned_host({}) if isinstance(step, cgroups.MakeCgroup)]
    assert made
    assert all(step.shared for step in made)
