"""What a runtime configuration may look like, so that planning can rely on it. Facts.

A shape is a kind of value, a list of one shape, or the members of an object: `name!` has to be
there, `*` is any name. Members that are not listed are kept and mean nothing, as the specification
demands; null counts as absent, for that is how some write an empty list.

Source: runtime-spec schema/config-schema.json, config-linux.json, defs.json, defs-linux.json.
"""

from __future__ import annotations

from onggi.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Kind:
    """A kind of value: text, truth, or whole numbers from `least` to `most`."""

    __slots__ = ("least", "most", "type", "words")

    def __init__(self, type: type, words: str, least: int = 0, most: int = 0) -> None:  # noqa: A002
        self.type = type
        self.words = words
        self.least = least
        self.most = most

    def accepts(self, value: object) -> bool:
        """Tell whether `value` is of this kind."""
        if type(value) is not self.type:  # a bool is an int elsewhere
            return False
        if isinstance(value, str):
            return "\0" not in value  # the kernel would cut it there
        return self.type is bool or self.least <= value <= self.most  # type: ignore[operator]


TEXT = Kind(str, "text without a zero byte")
TRUTH = Kind(bool, "true or false")
INT32 = Kind(int, "a whole number of 32 bits", -(2**31), 2**31 - 1)
INT64 = Kind(int, "a whole number of 64 bits", -(2**63), 2**63 - 1)
UINT16 = Kind(int, "a whole number from 0 to 65535", 0, 2**16 - 1)
UINT32 = Kind(int, "a whole number from 0 to 4294967295", 0, 2**32 - 1)
# The last number that 32 bits hold is no user: as an argument of setresuid(2) it means "as before",
# which is root.
OWNER = Kind(int, "a user's or group's number, at most 4294967294", 0, 2**32 - 2)
UINT64 = Kind(int, "a whole number from 0 to 18446744073709551615", 0, 2**64 - 1)
MODE = Kind(int, "permission bits, in decimal", 0, 0o7777 | 0o170000)
SECONDS = Kind(int, "a whole number of seconds, at least 1", 1, 2**31 - 1)
SCORE = Kind(int, "a whole number from -1000 to 1000", -1000, 1000)

TEXTS = [TEXT]
TEXT_MAP = {"*": TEXT}

_LISTED_HOOKS = [{"path!": TEXT, "args": TEXTS, "env": TEXTS, "timeout": SECONDS}]
_MAPPINGS = [{"containerID!": UINT32, "hostID!": UINT32, "size!": UINT32}]
_THROTTLES = [{"major!": INT64, "minor!": INT64, "rate": UINT64}]

PROCESS: dict[str, Any] = {
    "args": TEXTS,
    "cwd!": TEXT,
    "env": TEXTS,
    "terminal": TRUTH,
    "consoleSize": {"height!": UINT16, "width!": UINT16},
    "user": {"uid": OWNER, "gid": OWNER, "umask": UINT32, "additionalGids": [OWNER]},
    "capabilities": dict.fromkeys(
        ("bounding", "effective", "permitted", "inheritable", "ambient"), TEXTS
    ),
    "apparmorProfile": TEXT,
    "selinuxLabel": TEXT,
    "oomScoreAdj": SCORE,
    "noNewPrivileges": TRUTH,
    "ioPriority": {"class!": TEXT, "priority": INT32},
    "scheduler": {
        "policy!": TEXT,
        "nice": INT32,
        "priority": INT32,
        "flags": TEXTS,
        "runtime": UINT64,
        "deadline": UINT64,
        "period": UINT64,
    },
    "rlimits": [{"type!": TEXT, "soft!": UINT64, "hard!": UINT64}],
    "execCPUAffinity": {"initial": TEXT, "final": TEXT},
}

RESOURCES: dict[str, Any] = {
    "unified": TEXT_MAP,
    "devices": [{"allow!": TRUTH, "type": TEXT, "major": INT64, "minor": INT64, "access": TEXT}],
    "pids": {"limit!": INT64},
    "blockIO": {
        "weight": UINT16,
        "leafWeight": UINT16,
        "weightDevice": [
            {"major!": INT64, "minor!": INT64, "weight": UINT16, "leafWeight": UINT16}
        ],
        "throttleReadBpsDevice": _THROTTLES,
        "throttleWriteBpsDevice": _THROTTLES,
        "throttleReadIOPSDevice": _THROTTLES,
        "throttleWriteIOPSDevice": _THROTTLES,
    },
    "cpu": {
        "cpus": TEXT,
        "mems": TEXT,
        "period": UINT64,
        "quota": INT64,
        "burst": UINT64,
        "realtimePeriod": UINT64,
        "realtimeRuntime": INT64,
        "shares": UINT64,
        "idle": INT64,
    },
    "hugepageLimits": [{"pageSize!": TEXT, "limit!": UINT64}],
    "memory": {
        **dict.fromkeys(("kernel", "kernelTCP", "limit", "reservation", "swap"), INT64),
        "swappiness": UINT64,
        **dict.fromkeys(("disableOOMKiller", "useHierarchy", "checkBeforeUpdate"), TRUTH),
    },
    "network": {"classID": UINT32, "priorities": [{"name!": TEXT, "priority!": UINT32}]},
    "rdma": {"*": {"hcaHandles": UINT32, "hcaObjects": UINT32}},
}

LINUX: dict[str, Any] = {
    "devices": [
        {
            "type!": TEXT,
            "path!": TEXT,
            "fileMode": MODE,
            "major": INT64,
            "minor": INT64,
            "uid": OWNER,
            "gid": OWNER,
        }
    ],
    "netDevices": {"*": {"name": TEXT}},
    "uidMappings": _MAPPINGS,
    "gidMappings": _MAPPINGS,
    "namespaces": [{"type!": TEXT, "path": TEXT}],
    "resources": RESOURCES,
    "cgroupsPath": TEXT,
    "rootfsPropagation": TEXT,
    "seccomp": {
        "defaultAction!": TEXT,
        "defaultErrnoRet": UINT32,
        "flags": TEXTS,
        "listenerPath": TEXT,
        "listenerMetadata": TEXT,
        "architectures": TEXTS,
        "syscalls": [
            {
                "names!": TEXTS,
                "action!": TEXT,
                "errnoRet": UINT32,
                "args": [{"index!": UINT32, "value!": UINT64, "valueTwo": UINT64, "op!": TEXT}],
            }
        ],
    },
    "sysctl": TEXT_MAP,
    "maskedPaths": TEXTS,
    "readonlyPaths": TEXTS,
    "mountLabel": TEXT,
    "intelRdt": {
        "closID": TEXT,
        "schemata": TEXTS,
        "l3CacheSchema": TEXT,
        "memBwSchema": TEXT,
        "enableMonitoring": TRUTH,
        "enableCMT": TRUTH,
        "enableMBM": TRUTH,
    },
    "memoryPolicy": {"mode": TEXT, "nodes": TEXT, "flags": TEXTS},
    "personality": {"domain": TEXT, "flags": TEXTS},
    "timeOffsets": {"*": {"secs": INT64, "nanosecs": UINT32}},
}

HOOKS = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)

CONFIG: dict[str, Any] = {
    "ociVersion!": TEXT,
    "hooks": dict.fromkeys(HOOKS, _LISTED_HOOKS),
    "annotations": TEXT_MAP,
    "hostname": TEXT,
    "domainname": TEXT,
    "mounts": [
        {
            "destination!": TEXT,
            "source": TEXT,
            "type": TEXT,
            "options": TEXTS,
            "uidMappings": _MAPPINGS,
            "gidMappings": _MAPPINGS,
        }
    ],
    "root!": {"path!": TEXT, "readonly": TRUTH},
    "process!": PROCESS,
    "linux": LINUX,
}


def conform(value: Any, shape: Any, where: str) -> Any:
    """Return `value` without its nulls, once it has this shape.

    Args: where: what a refusal calls it.
    Raises: InvalidInput: it has another.
    """
    if isinstance(shape, Kind):
        if not shape.accepts(value):
            raise InvalidInput(f"{where} is not {shape.words}")
        return value
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise InvalidInput(f"{where} is not a list")
        return [conform(one, shape[0], f"{where}[{i}]") for i, one in enumerate(value)]
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} is not an object")
    return _conform_members(value, shape, where)


def _conform_members(value: dict[str, Any], shape: dict[str, Any], where: str) -> dict[str, Any]:
    result = {name: one for name, one in value.items() if one is not None}
    if "*" in shape:
        for name in result:
            conform(name, TEXT, f"a name in {where}")
        return {name: conform(one, shape["*"], f"{where}.{name}") for name, one in result.items()}
    for name, inner in shape.items():
        plain = name.rstrip("!")
        if plain in result:
            result[plain] = conform(result[plain], inner, f"{where}.{plain}")
        elif name != plain:
            raise InvalidInput(f"{where}.{plain} is missing")
    return result
