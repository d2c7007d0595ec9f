"""OCI configurations that were changed at random, and the one that they were made of."""

import copy
import random
from pathlib import Path
from typing import Any

from support.oci_runtimes import configuration


def document(root: Path) -> dict[str, Any]:
    """Return a configuration with something in every part."""
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


ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 63, 1 << 64, 1.5, "", "x", "\0", "../..", "a\nb", "/", "\udc80", [], {},
    [[]], {"": ""}, ["x"], "CAP_NOPE", "SCMP_ACT_NOPE", "99:99", "é" * 5000,
)  # fmt: skip


def mutated(config: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return a configuration with a few of its members changed, added or gone."""
    config = copy.deepcopy(config)
    for _ in range(chance.randint(1, 4)):
        where: Any = config
        while isinstance(where, dict | list) and where:
            keys = list(where) if isinstance(where, dict) else list(range(len(where)))
            key = chance.choice(keys)
            if not isinstance(where[key], dict | list) or not where[key] or chance.random() < 0.2:
                if chance.random() < 0.2:
                    del where[key]
                else:
                    where[key] = copy.deepcopy(chance.choice(ODD))
                break
            where = where[key]
    return config
