"""Plans as data: read as text for a few containers, and held to their order for many.

After a change that is meant to change plans, ONGGI_WRITE_PLANS=1 writes the texts anew.
"""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from onggi.errors import InvalidInput, OnggiError
from onggi.oci.mount import Mount
from onggi.runtime.plan.container import Plan, plan_container
from onggi.runtime.steps import cgroups, devices, mounts, namespaces, process
from onggi.runtime.steps.base import Step
from support.plans import HOSTS, IDENTIFIER, configuration, host, plan
from support.threats import withstands

TEXTS = Path(__file__).parent / "plans"


def limited() -> dict[str, Any]:
    config = configuration(uid=1000)
    config["linux"]["resources"] |= {
        "memory": {"limit": 64 << 20, "swap": 128 << 20},
        "cpu": {"quota": 50000, "period": 100000, "cpus": "0"},
        "pids": {"limit": 100},
    }
    config["process"] |= {
        "cwd": "/srv",
        "oomScoreAdj": 300,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}],
    }
    config["root"]["readonly"] = True
    return config


def open_handed() -> dict[str, Any]:
    config = configuration(privileged=True, network=False)
    config["process"]["noNewPrivileges"] = False
    config["mounts"].append(
        {"destination": "/data", "type": "bind", "source": "/host", "options": ["rbind", "ro"]}
    )
    return config


CONFIGURATIONS = {"limited": limited(), "open-handed": open_handed(), "plain": configuration()}


@pytest.mark.parametrize("kind", HOSTS)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_plan_reads_as_it_is_written_down(name: str, kind: str) -> None:
    text = read(plan(CONFIGURATIONS[name], kind=kind))
    path = TEXTS / f"{name}-{kind}.txt"
    if os.environ.get("ONGGI_WRITE_PLANS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


def read(made: Plan) -> str:
    parts = {"host": made.host, "join": made.join, "bounds": made.bounds}
    rest = {"container": made.container, "program": made.program}
    lines = []
    for part, steps in {**parts, **rest}.items():
        lines += [f"{part}:", *(f"    {step.describe()}" for step in steps)]
    return "\n".join(lines).replace(IDENTIFIER, "ID") + "\n"


def test_planning_changes_nothing_and_gives_the_same_again() -> None:
    config = limited()
    before = copy.deepcopy(config)
    assert plan(config).steps() == plan(config).steps()
    assert config == before


def test_steps_compare_by_value() -> None:
    assert mounts.MaskPath("/proc/kcore") == mounts.MaskPath("/proc/kcore")
    assert mounts.MaskPath("/proc/kcore") != mounts.MaskPath("/proc/keys")
    assert mounts.MaskPath("/proc/bus") != mounts.ReadonlyPath("/proc/bus")


@some.composite
def plans(draw: some.DrawFn) -> Plan:
    privileged = draw(some.booleans())
    uid = draw(some.sampled_from([0, 1000]))
    config = configuration(privileged=privileged, network=draw(some.booleans()), uid=uid)
    config["process"]["noNewPrivileges"] = draw(some.booleans())
    config["process"]["cwd"] = draw(some.sampled_from(["/", "/srv/deep"]))
    config["process"]["terminal"] = draw(some.booleans())
    config["root"]["readonly"] = draw(some.booleans())
    if draw(some.booleans()):
        config["process"]["oomScoreAdj"] = draw(some.integers(-1000, 1000))
    if draw(some.booleans()):
        limit = draw(some.integers(6 << 20, 1 << 40))
        config["linux"]["resources"]["memory"] = {"limit": limit}
    filtered = draw(some.sampled_from([b"", bytes(8)]))
    kind = draw(some.sampled_from(sorted(HOSTS)))
    return plan(config, kind=kind, program=filtered, init=draw(some.booleans()))


def places(made: Plan, *kinds: type[Step]) -> list[int]:
    return [number for number, step in enumerate(made.steps()) if isinstance(step, kinds)]


def in_order(made: Plan, first: tuple[type[Step], ...], then: tuple[type[Step], ...]) -> bool:
    """Tell whether every step of the first kinds comes before every one of the others."""
    return max(places(made, *first), default=-1) < min(places(made, *then), default=10**6)


@settings(max_examples=60, deadline=None)
@given(plans())
def test_the_order_that_the_guarantees_rest_on(made: Plan) -> None:
    values = (cgroups.MakeCgroup, cgroups.WriteSetting, cgroups.AttachDeviceProgram)
    joins, leaves = (cgroups.JoinCgroup,), (namespaces.Unshare,)
    assert in_order(made, values, joins)
    assert in_order(made, joins, leaves)
    assert in_order(made, leaves, (namespaces.SetPropagation,))
    mounting = (mounts.MountOverlay, mounts.MountFilesystem, mounts.BindMount)
    assert in_order(made, (namespaces.SetPropagation,), mounting)
    hiding = (mounts.MaskPath, mounts.ReadonlyPath)
    assert in_order(made, mounting, hiding)
    assert in_order(made, (devices.MakeDevice,), hiding)
    assert in_order(made, (*mounting, *hiding, mounts.RootReadonly), (mounts.PivotRoot,))
    assert in_order(made, (mounts.PivotRoot,), (process.PrivilegeStep,))


@settings(max_examples=60, deadline=None)
@given(plans())
def test_the_order_of_giving_up_rights(made: Plan) -> None:
    bound, user = (process.LimitBoundingSet,), (process.SwitchUser,)
    held = (process.SetCapabilities,)
    assert in_order(made, bound, user)
    assert in_order(made, user, held)
    assert isinstance(made.program[-1], process.Execute)
    if places(made, process.NoNewPrivileges):
        assert in_order(made, (*bound, *held, process.NoNewPrivileges), (process.LoadFilter,))
    else:
        # Without it loading is a right of its own, which the next steps may drop.
        assert in_order(made, (process.LoadFilter,), (*bound, *user, *held))


@settings(max_examples=60, deadline=None)
@given(plans())
def test_what_every_plan_has(made: Plan) -> None:
    own = [step.make.path for step in made.host if isinstance(step, cgroups.MakeCgroup)]
    assert set(made.cgroups) <= set(own)
    assert made.join == [cgroups.JoinCgroup(path) for path in made.cgroups]
    once = (mounts.PivotRoot, mounts.MountOverlay, process.Execute, process.SwitchUser)
    assert [len(places(made, kind)) for kind in once] == [1, 1, 1, 1]
    assert all(step.describe() and "\n" not in step.describe() for step in made.steps())
    assert all(isinstance(line, str) for step in made.steps() for line in step.shell())


def test_devices_are_guarded_by_what_the_host_has() -> None:
    config = configuration()
    assert places(plan(config, kind="v2"), cgroups.AttachDeviceProgram)
    for kind in ("v1", "mixed"):
        made = plan(config, kind=kind)
        assert not places(made, cgroups.AttachDeviceProgram)
        written = [
            step.setting.file for step in made.host if isinstance(step, cgroups.WriteSetting)
        ]
        assert "devices.deny" in written


def test_a_namespace_to_join_is_joined_before_any_is_left() -> None:
    config = configuration()
    for entry in config["linux"]["namespaces"]:
        if entry["type"] == "network":
            entry["path"] = "/run/netns/jar"
    made = plan(config)
    assert in_order(made, (namespaces.JoinNamespace,), (mounts.MountOverlay,))
    assert not places(made, namespaces.LoopbackUp)


def test_a_directory_that_is_complete_is_bound_over_itself() -> None:
    made = plan_container(configuration(), [], host(), identifier=IDENTIFIER)
    assert mounts.BindRoot("/run/onggi/root") in made.container


def refused(change: dict[str, Any], where: str) -> dict[str, Any]:
    config = configuration()
    config[where] |= change
    return config


@pytest.mark.parametrize(
    ("where", "change", "words"),
    [
        ("linux", {"namespaces": [{"type": "planet"}]}, "unknown namespace 'planet'"),
        ("linux", {"namespaces": [{"type": "pid"}, {"type": "pid"}]}, "named twice"),
        ("linux", {"namespaces": [{"type": "pid"}]}, "mount namespace of its own"),
        ("linux", {"namespaces": [{"type": "user"}, {"type": "mount"}]}, "without uidMappings"),
        ("linux", {"cgroupsPath": "/../x"}, "may not contain|invalid cgroup parent"),
        ("process", {"rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]}, "RLIMIT_X"),
        ("process", {"rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]}, "above the hard"),
    ],
)
def test_what_makes_no_sense_is_refused(where: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(OnggiError, match=words):
        plan(refused(change, where))


def test_a_relative_destination_is_refused() -> None:
    config = configuration()
    config["mounts"].append({"destination": "data", "type": "bind", "source": "/x"})
    with pytest.raises(InvalidInput, match="'data' is relative"):
        plan(config)


def test_a_root_of_several_mounts_is_refused() -> None:
    several = [Mount(type="overlay", source="overlay", options=())] * 2
    with pytest.raises(InvalidInput, match="root file system of 2 mounts"):
        plan_container(configuration(), several, host(), identifier=IDENTIFIER)


@withstands("cgroups", "flags of the host's cgroup mounts set anew by mounting another")
def test_without_a_cgroup_namespace_v2_is_bound_and_not_mounted() -> None:
    config = configuration()
    shown = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
    config["mounts"] = [{**shown, "options": ["ro", "nosuid"]}]
    namespaced = plan(config, kind="v2").container
    assert mounts.MountFilesystem("cgroup2", "cgroup", "/sys/fs/cgroup", ("ro", "nosuid")) in (
        namespaced
    )
    kinds = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [kind for kind in kinds if kind["type"] != "cgroup"]
    steps = plan(config, kind="v2").container
    view = mounts.BindMount("/sys/fs/cgroup", "/sys/fs/cgroup", ("bind", "ro", "nosuid"))
    assert view in steps
    assert not [step for step in steps if getattr(step, "fstype", "").startswith("cgroup")]
