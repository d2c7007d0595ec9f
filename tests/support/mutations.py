"""OCI configurations that were changed at random, and the one that they were made of."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.oci_runtimes import configuration

Place = tuple[str | int, ...]

_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_HOOKS = (
    *("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"),
)
_IDS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def document(root: Path) -> dict[str, Any]:
    """Return a configuration with something in every part, which is made on most hosts."""
    config = configuration("sh", "-c", "true", identifier="jar")
    config["root"]["path"] = str(root)
    config["annotations"] = {"key": "value"}
    config["process"] |= {
        "user": {"uid": 1, "gid": 1, "umask": 18, "additionalGids": [5]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
        "oomScoreAdj": 100,
    }
    config["linux"] |= {
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "resources": {
            "memory": {"limit": 1 << 27, "swap": 1 << 28},
            "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
            "pids": {"limit": 10},
            "devices": [{"allow": False, "access": "rwm"}],
        },
        "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}],
        "seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
        },
    }
    return config


def fullest(root: Path, kind: str) -> dict[str, Any]:
    """Return a configuration with nearly every member that a kind of host (plans.HOSTS) can do."""
    config = document(root)
    config |= {"domainname": "kiln", "hooks": {name: [_hook()] for name in _HOOKS}}
    config["process"] |= {
        "terminal": True,
        "consoleSize": {"height": 24, "width": 80},
        "capabilities": {name: ["CAP_KILL", "CAP_CHOWN"] for name in _SETS},
        "scheduler": {"policy": "SCHED_OTHER", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
        "execCPUAffinity": {"initial": "0", "final": "0"},
    }
    config["mounts"] += [
        {
            "destination": "/data",
            "type": "bind",
            "source": str(root),
            "options": ["rbind", "rro", "rprivate", "idmap"],
            "uidMappings": _IDS,
            "gidMappings": _IDS,
        },
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
        {
            "destination": "/t",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["size=1m", "mode=700"],
        },
    ]
    _fill_linux(config["linux"])
    for path in _MISSING[kind]:
        del holder(config["linux"]["resources"], path)[path[-1]]
    return config


# What no host of a kind has.
_MISSING: dict[str, tuple[Place, ...]] = {
    "v1": (("unified",), ("rdma",)),
    "mixed": (("unified",), ("rdma",), ("network",)),
    "v2": (
        *(("memory", "swappiness"), ("memory", "disableOOMKiller"), ("memory", "kernelTCP")),
        ("network",),
        *(("cpu", "realtimeRuntime"), ("cpu", "realtimePeriod")),
    ),
}


def _hook() -> dict[str, Any]:
    return {"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}


def _fill_linux(linux: dict[str, Any]) -> None:
    linux["namespaces"] += [{"type": "time"}, {"type": "user"}]
    linux |= {
        "uidMappings": _IDS,
        "gidMappings": _IDS,
        "timeOffsets": {"monotonic": {"secs": 5, "nanosecs": 7}},
        "rootfsPropagation": "rprivate",
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "personality": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]},
        "netDevices": {"eth0": {"name": "inside"}},
        "intelRdt": {"closID": "jar", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=50"},
    }
    linux["devices"][0] |= {"fileMode": 438, "uid": 0, "gid": 0}
    linux["resources"] |= _resources()
    linux["seccomp"] |= {
        "defaultAction": "SCMP_ACT_ERRNO",
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "listenerPath": "/run/listener",
        "listenerMetadata": "text",
        "defaultErrnoRet": 1,
    }
    compared = {"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}
    allowed = {"names": ["mkdir", "clone"], "action": "SCMP_ACT_ALLOW", "args": [compared]}
    linux["seccomp"]["syscalls"] = [allowed, {"names": ["open"], "action": "SCMP_ACT_NOTIFY"}]


def _resources() -> dict[str, Any]:
    disk = {"major": 8, "minor": 0}
    return {
        "memory": {
            "limit": 1 << 27,
            "reservation": 1 << 26,
            "swap": 1 << 28,
            "swappiness": 10,
            "disableOOMKiller": True,
            "useHierarchy": True,
            "kernelTCP": 1 << 20,
        },
        "cpu": {
            "shares": 512,
            "quota": 50000,
            "period": 100000,
            "burst": 1000,
            "idle": 0,
            "realtimeRuntime": 900,
            "realtimePeriod": 1000,
            "cpus": "0",
            "mems": "0",
        },
        "blockIO": {
            "weight": 100,
            "weightDevice": [{**disk, "weight": 50}],
            "throttleReadBpsDevice": [{**disk, "rate": 1000}],
            "throttleWriteIOPSDevice": [{**disk, "rate": 1000}],
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 21}],
        "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]},
        "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10}},
        "unified": {"memory.high": "100000000"},
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
        ],
    }


ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 63, 1 << 64, 10**400, 1.5, 1e308, "", "x", "\0", "../..", "a\nb", "/",
    "\udc80", "-1", "0-99999999", [], {}, [[]], {"": ""}, ["x"], [None], "CAP_NOPE",
    "SCMP_ACT_NOPE", "99:99", "é" * 5000,
)  # fmt: skip


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """Yield the path of every member of a configuration, whatever is in it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inside:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from places(part, (*path, key))


def holder(config: dict[str, Any], path: Place) -> Any:
    """Return what has the member at a path."""
    where: Any = config
    for key in path[:-1]:
        where = where[key]
    return where


def each_replaced(config: dict[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield the configuration with each of its members gone, and made each odd thing."""
    for path in places(config):
        for odd in (*ODD, "gone"):
            changed = copy.deepcopy(config)
            if odd == "gone":
                del holder(changed, path)[path[-1]]
            else:
                holder(changed, path)[path[-1]] = copy.deepcopy(odd)
            yield path, changed


def mutated(config: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a configuration with a few of its members changed, moved, added or gone."""
    config = copy.deepcopy(config)
    for _ in range(chance.randint(1, 4)):
        path = chance.choice(list(places(config)) or [()])
        if path:
            chance.choice(_CHANGES)(config, path, chance)
    return config


def _replace(config: dict[str, Any], path: Place, chance: random.Random) -> None:
    holder(config, path)[path[-1]] = copy.deepcopy(chance.choice(ODD))


def _remove(config: dict[str, Any], path: Place, _chance: random.Random) -> None:
    del holder(config, path)[path[-1]]


def _take_from_elsewhere(config: dict[str, Any], path: Place, chance: random.Random) -> None:
    other = chance.choice(list(places(config)))
    holder(config, path)[path[-1]] = copy.deepcopy(holder(config, other)[other[-1]])


def _repeat(config: dict[str, Any], path: Place, chance: random.Random) -> None:
    where = holder(config, path)
    if isinstance(where, list):
        where += [copy.deepcopy(where[int(path[-1])]) for _ in range(chance.choice((1, 2, 500)))]


def _bury(config: dict[str, Any], path: Place, chance: random.Random) -> None:
    where = holder(config, path)
    for _ in range(chance.choice((1, 3, 40))):
        where[path[-1]] = [where[path[-1]]]


def _spoil_text(config: dict[str, Any], path: Place, chance: random.Random) -> None:
    where = holder(config, path)
    if isinstance(where[path[-1]], str):
        at = chance.randint(0, len(where[path[-1]]))
        spoilt = chance.choice(("\0", "\n", "\x1b[2J", "/../", ":", "=", "\udc80", " "))
        where[path[-1]] = where[path[-1]][:at] + spoilt + where[path[-1]][at:]


def _shuffle(config: dict[str, Any], path: Place, chance: random.Random) -> None:
    where = holder(config, path)
    if isinstance(where, list):
        chance.shuffle(where)


_CHANGES = (
    *(_replace, _replace, _remove, _take_from_elsewhere, _repeat, _bury, _spoil_text),
    _shuffle,
)


def text(config: dict[str, Any], chance: random.Random) -> str:
    """Write a configuration down; now and then with a member twice, or cut short."""
    written = json.dumps(config)
    if chance.random() < 0.03:
        name = chance.choice(("process", "root", "linux", "mounts", "ociVersion"))
        return f'{{"{name}": {json.dumps(chance.choice(ODD))}, {written[1:]}'
    if chance.random() < 0.03:
        return written[: chance.randint(0, len(written))]
    if chance.random() < 0.01:
        return f'{{"annotations": {"[" * 100_000}{"]" * 100_000}, {written[1:]}'
    return written
