"""No member of a configuration is dropped without a word.

For each member that the published schema has, a configuration with one value is planned beside the
same with another: the plans must differ, or one be refused or warned of with the member's name. The
few members that take effect elsewhere are listed, each with the test that sees it.
"""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onggi.errors import OnggiError
from onggi.runtime.command import bundle, launching, record, schema, staging
from onggi.runtime.host import Host
from onggi.runtime.plan.resctrl import Machine, plan_share
from support.hierarchies import FILES_V1, FILES_V2, legacy, v1, v2
from support.repository import ROOT
from support.schema_paths import leaves

Json = dict[str, Any]

# Of other platforms: what is not Linux's is nobody's here.
ELSEWHERE = {"freebsd", "solaris", "vm", "windows", "zos", "process.commandLine"}
# Who a user is inside is told by number; the name is Windows'. Source: config.md, "User".
ELSEWHERE |= {"process.user.username"}

# Taking effect when there is no plan any more, or in another one: by which test that is seen.
_HOOKS = "tests/conformance/test_runtime_hooks.py::test_"
_EXEC = "tests/conformance/test_runtime_config.py::test_processors_of_further_programs"
_STATE = "tests/conformance/test_runtime_lifecycle.py::test_create_start_delete"
SEEN_BY = {
    "annotations.*": _STATE,
    # They are planned as the other kinds are, by one function.
    **{
        f"hooks.{kind}[].{member}": f"{_HOOKS}{test}"
        for kind, test in (
            ("poststart", "poststart"),
            ("poststop", "poststop_hooks_run_whatever_they_do"),
        )
        for member in ("args[]", "env[]", "path", "timeout")
    },
    "process.execCPUAffinity.initial": _EXEC,
    "process.execCPUAffinity.final": _EXEC,
}

_HOOK = {"path": "/bin/true", "args": ["true", "x"], "env": ["A=1"], "timeout": 5}
_MAPPING = {"containerID": 0, "hostID": 100_000, "size": 65_536}
_THROTTLE = {"major": 8, "minor": 0, "rate": 1000}
_DISK = {"major": 8, "minor": 0, "weight": 200, "leafWeight": 0}
BASE: Json = {
    "ociVersion": "1.0.2",
    "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    "root": {"path": "rootfs"},
    "linux": {"namespaces": [{"type": "mount"}]},
}
_NAMESPACES = [{"type": kind} for kind in ("mount", "uts", "pid", "time", "user", "network", "ipc")]

# Configurations that have every member between them, each laid over the base.
SAMPLES: list[Json] = [
    {
        "ociVersion": "1.0.2",
        "hostname": "jar",
        "domainname": "example",
        "root": {"path": "rootfs", "readonly": False},
        "hooks": {
            kind: [_HOOK]
            for kind in ("prestart", "createRuntime", "createContainer", "startContainer")
        },
        "process": {
            "args": ["true", "x"],
            "cwd": "/",
            "env": ["PATH=/bin"],
            "terminal": True,
            "consoleSize": {"height": 24, "width": 80},
            "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3]},
            "capabilities": {
                "bounding": ["CAP_KILL", "CAP_CHOWN"],
                "permitted": ["CAP_KILL", "CAP_CHOWN"],
                "effective": ["CAP_KILL"],
                "inheritable": ["CAP_KILL", "CAP_CHOWN"],
                "ambient": ["CAP_KILL"],
            },
            "noNewPrivileges": True,
            "oomScoreAdj": 5,
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}],
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
            "scheduler": {"policy": "SCHED_BATCH", "nice": 3, "flags": []},
        },
        "mounts": [
            {
                "destination": "/x",
                "type": "bind",
                "source": "/etc",
                "options": ["rbind", "ro", "idmap"],
                "uidMappings": [_MAPPING],
                "gidMappings": [_MAPPING],
            },
            {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]},
        ],
        "linux": {
            "namespaces": _NAMESPACES,
            "cgroupsPath": "/onggi/jar",
            "uidMappings": [_MAPPING],
            "gidMappings": [_MAPPING],
            "devices": [
                {
                    "type": "c",
                    "path": "/dev/x",
                    "major": 1,
                    "minor": 3,
                    "fileMode": 0o600,
                    "uid": 1,
                    "gid": 2,
                }
            ],
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
            "rootfsPropagation": "private",
            "sysctl": {"net.core.somaxconn": "5"},
            "timeOffsets": {
                "monotonic": {"secs": 1, "nanosecs": 2},
                "boottime": {"secs": 1, "nanosecs": 2},
            },
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "personality": {"domain": "LINUX32", "flags": ["UNAME26"]},
            "netDevices": {"eth9": {"name": "eth0"}},
            "seccomp": {
                "defaultAction": "SCMP_ACT_ERRNO",
                "defaultErrnoRet": 38,
                "architectures": ["SCMP_ARCH_X86_64"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "listenerPath": "/run/agent",
                "listenerMetadata": "words",
                "syscalls": [
                    {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"},
                    {
                        "names": ["socket"],
                        "action": "SCMP_ACT_ERRNO",
                        "errnoRet": 5,
                        "args": [
                            {"index": 0, "value": 1, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}
                        ],
                    },
                ],
            },
        },
    },
    {
        "process": {
            "scheduler": {
                "policy": "SCHED_DEADLINE",
                "runtime": 10,
                "deadline": 20,
                "period": 30,
                "flags": ["SCHED_FLAG_RECLAIM"],
            },
        }
    },
    {"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": 5}}},
    {"process": {"apparmorProfile": ""}},
    {"process": {"selinuxLabel": ""}},
    {"linux": {"mountLabel": ""}},
    {"linux": {"namespaces": [{"type": "mount"}, {"type": "ipc", "path": "/proc/1/ns/ipc"}]}},
    {
        "linux": {
            "intelRdt": {
                "closID": "gold",
                "l3CacheSchema": "L3:0=f",
                "memBwSchema": "MB:0=20",
                "schemata": ["L2:0=1"],
                "enableMonitoring": False,
            }
        }
    },
    {"linux": {"resources": {"unified": {"memory.high": "5"}}}},
    {
        "linux": {
            "resources": {
                "devices": [{"allow": True, "type": "c", "major": 7, "minor": 8, "access": "r"}],
                "pids": {"limit": 5},
                "cpu": {
                    "shares": 5,
                    "quota": 6000,
                    "period": 70_000,
                    "burst": 8,
                    "cpus": "0",
                    "mems": "0",
                    "realtimeRuntime": 9,
                    "realtimePeriod": 10,
                    "idle": 1,
                },
                "memory": {
                    "limit": 1 << 26,
                    "reservation": 1 << 25,
                    "swap": 1 << 27,
                    "kernel": -1,
                    "kernelTCP": 1 << 24,
                    "swappiness": 5,
                    "disableOOMKiller": True,
                    "useHierarchy": True,
                    "checkBeforeUpdate": False,
                },
                "blockIO": {
                    "weight": 100,
                    "leafWeight": 0,
                    "weightDevice": [_DISK],
                    "throttleReadBpsDevice": [_THROTTLE],
                    "throttleWriteBpsDevice": [_THROTTLE],
                    "throttleReadIOPSDevice": [_THROTTLE],
                    "throttleWriteIOPSDevice": [_THROTTLE],
                },
                "hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 21}],
                "network": {"classID": 5, "priorities": [{"name": "eth0", "priority": 5}]},
                "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 4}},
            }
        }
    },
]

# What a member is changed into, where a number more, or the opposite, would not do.
OTHERS: Json = {
    "ociVersion": "2.0.0",
    "linux.cgroupsPath": "/onggi/other",
    "linux.devices[].type": "b",
    "linux.intelRdt.memBwSchema": "MB:0=30",
    "linux.memoryPolicy.flags[]": "MPOL_F_RELATIVE_NODES",
    "linux.memoryPolicy.mode": "MPOL_INTERLEAVE",
    "linux.memoryPolicy.nodes": "1",
    "linux.namespaces[].path": "/proc/2/ns/ipc",
    "linux.namespaces[].type": "cgroup",
    "linux.personality.domain": "LINUX",
    "linux.personality.flags[]": "ADDR_NO_RANDOMIZE",
    "linux.resources.blockIO.weight": 110,
    "linux.resources.cpu.cpus": "1",
    "linux.resources.cpu.mems": "1",
    "linux.resources.devices[].access": "w",
    "linux.resources.devices[].type": "b",
    "linux.resources.hugepageLimits[].pageSize": "1GB",
    "linux.resources.memory.kernel": 1 << 20,
    "linux.resources.unified.*": "6",
    "linux.rootfsPropagation": "rslave",
    "linux.seccomp.architectures[]": "SCMP_ARCH_X86",
    "linux.seccomp.defaultAction": "SCMP_ACT_ALLOW",
    "linux.seccomp.flags[]": "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "linux.seccomp.syscalls[].action": "SCMP_ACT_LOG",
    "linux.seccomp.syscalls[].args[].op": "SCMP_CMP_EQ",
    "linux.seccomp.syscalls[].names[]": "chmod",
    "mounts[].destination": "/y",
    "mounts[].options[]": "nosuid",
    "mounts[].type": "ext4",
    "process.capabilities.ambient[]": "CAP_CHOWN",
    "process.capabilities.bounding[]": "CAP_FOWNER",
    "process.capabilities.effective[]": "CAP_CHOWN",
    "process.capabilities.inheritable[]": "CAP_FOWNER",
    "process.capabilities.permitted[]": "CAP_FOWNER",
    "process.ioPriority.class": "IOPRIO_CLASS_IDLE",
    "process.rlimits[].type": "RLIMIT_CORE",
    "process.scheduler.flags[]": "SCHED_FLAG_DL_OVERRUN",
    "process.scheduler.policy": "SCHED_OTHER",
    "root.path": "elsewhere",
}

LEAVES = leaves()
OURS = sorted(set(LEAVES) - ELSEWHERE - SEEN_BY.keys())


def laid_over(base: Any, more: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(more, dict):
        return copy.deepcopy(more)
    merged = {**copy.deepcopy(base)}
    for name, value in more.items():
        merged[name] = laid_over(base[name], value) if name in base else copy.deepcopy(value)
    return merged


def change(node: Any, parts: list[str], to: Callable[[Any], Any]) -> bool:
    """Change the last member that a path leads to; tell whether there is one."""
    name, *rest = parts
    names: list[Any] = [name]
    if name == "[]":
        names = list(range(len(node)))[::-1] if isinstance(node, list) else []
    elif name == "*":
        names = list(node) if isinstance(node, dict) else []
    elif not isinstance(node, dict) or name not in node:
        return False
    for one in names:
        if not rest:
            node[one] = to(node[one])
            return True
        if change(node[one], rest, to):
            return True
    return False


def parts_of(path: str) -> list[str]:
    return re.findall(r"\[\]|[^.\[]+", path)


def other(path: str) -> Callable[[Any], Any]:
    def changed(value: Any) -> Any:
        if path in OTHERS:
            return OTHERS[path]
        if isinstance(value, bool):
            return not value
        return value + 1 if isinstance(value, int) else f"{value}2"

    return changed


def host_for(config: Json) -> Host:
    unified = "unified" in config["linux"].get("resources", {})
    hierarchies = [v2("cpu", "io", "memory", "pids")] if unified else [*legacy(), v1("rdma")]
    files = FILES_V2 if unified else FILES_V1
    return Host(
        arch="x86_64",
        hierarchies=tuple(hierarchies),
        memberships={one.key: "/" for one in hierarchies},
        control_files=files,
    )


def outcome(config: Json, place: Path) -> list[Any]:
    """Return all that a configuration leads to: the plan, and what was said; or the refusal."""
    said: list[str] = []
    (place / "rootfs").mkdir(exist_ok=True)
    (place / "elsewhere").mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps(config))
    try:
        read = bundle.read(str(place), "", said.append)
        plan = launching.plan_on(read, "jar", host_for(config), str(place / "filters"))
        stage = staging.Stage(passed_fds=0, keyring=True)
        stage.hooks, stage.seccomp = read.get("hooks", {}), read["linux"].get("seccomp", {})
        stage.state = record.document(record.new("jar", read, str(place)), record.CREATING)
        staging.set_stage(plan, stage)
        listener = plan.listener and vars_of(plan.listener)
        share = planned_share(read["linux"].get("intelRdt"))
    except OnggiError as error:
        return ["refused", str(error)]
    steps = [*plan.steps(), *plan.hooks, *plan.devices]
    return [steps, listener, plan.user_map, plan.warnings, said, share]


def vars_of(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in ("path", "_document")}


def planned_share(asked: Json | None) -> list[Any]:
    if asked is None:
        return []
    share = plan_share(asked, "jar", Machine("/r", frozenset(("L3", "L2", "MB", "L3_MON")), None))
    return [share.host, share.join, share.own]


@pytest.mark.skipif(not LEAVES, reason="the published schema is not at hand")
def test_there_is_a_schema_to_walk() -> None:
    assert len(OURS) > 120
    assert not {*ELSEWHERE, *SEEN_BY, *OTHERS} - set(LEAVES)


@pytest.mark.parametrize("path", OURS)
def test_a_member_makes_a_difference_or_is_refused_by_name(path: str, tmp_path: Path) -> None:
    for sample in SAMPLES:
        config = laid_over(BASE, sample)
        changed = copy.deepcopy(config)
        if change(changed, parts_of(path), other(path)):
            break
    else:
        pytest.fail(f"no sample has {path}")
    before = outcome(config, tmp_path)
    assert before[0] != "refused", before
    after = outcome(changed, tmp_path)
    assert after != before, f"{path} makes no difference"
    if after[0] == "refused":
        names = [part.lower() for part in parts_of(path) if part not in ("[]", "*")]
        words = {*names[-2:], *NAMED.get(path, ())}
        assert any(word in after[1].lower() for word in words), after[1]


# What refusals call some members.
NAMED: dict[str, set[str]] = {
    "linux.gidMappings[].containerID": {"group 0 is not mapped"},
    "linux.seccomp.defaultAction": {"seccomp action"},
    "linux.uidMappings[].containerID": {"user 0 is not mapped"},
    "ociVersion": {"specification version"},
    "process.apparmorProfile": {"apparmor profile"},
    "process.selinuxLabel": {"selinux label"},
    "linux.resources.blockIO.leafWeight": {"leaf_weight"},
    "linux.resources.blockIO.weightDevice[].leafWeight": {"leaf_weight"},
}


@pytest.mark.parametrize("path", sorted(SEEN_BY))
def test_what_takes_effect_later_is_seen_by_a_test(path: str) -> None:
    file, _, name = SEEN_BY[path].partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


@pytest.mark.skipif(not LEAVES, reason="the published schema is not at hand")
def test_members_of_ours_are_the_schemas() -> None:
    """Those of earlier versions apart, nothing is read that the specification does not know."""
    ours = set(shape_leaves(schema.CONFIG, ""))
    known = {re.sub(r"timeOffsets\.\w+", "timeOffsets.*", path) for path in LEAVES}
    assert ours - known == {"linux.intelRdt.enableCMT", "linux.intelRdt.enableMBM"}
    assert known - ours == ELSEWHERE


def shape_leaves(shape: Any, path: str) -> list[str]:
    if isinstance(shape, list):
        return shape_leaves(shape[0], f"{path}[]")
    if not isinstance(shape, dict):
        return [path]
    found = []
    for name, inner in shape.items():
        plain = name.rstrip("!")
        found += shape_leaves(inner, f"{path}.{plain}" if path else plain)
    return found
