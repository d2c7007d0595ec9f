"""Specifications and hosts from which plans are made without a kernel."""

from typing import Any

from onggi.linux.cgroup import Hierarchy
from onggi.oci.mount import Mount
from onggi.runtime import spec
from onggi.runtime.host import Host
from onggi.runtime.plan.container import Plan, plan_container
from support.hierarchies import FILES_V1, FILES_V2, hybrid, legacy, unified

IDENTIFIER = "0123456789abcdef" * 4
FILTER = bytes(range(8)) * 3
CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"]
PATH = "PATH=/usr/bin:/bin"

HOSTS: dict[str, list[Hierarchy]] = {"v1": legacy(), "mixed": hybrid(), "v2": unified()}


def host(kind: str = "v2") -> Host:
    """Return a host whose control groups are of this kind."""
    return Host(
        arch="x86_64",
        hierarchies=tuple(HOSTS[kind]),
        memberships={one.key: "/" for one in HOSTS[kind]},
        control_files=FILES_V2 if kind == "v2" else FILES_V1,
    )


def configuration(
    *, privileged: bool = False, network: bool = True, uid: int = 0
) -> dict[str, Any]:
    """Return the configuration of an ordinary container, for a test to change."""
    kinds = tuple(kind for kind in spec.NAMESPACES if network or kind != "network")
    process = spec.process(
        args=["sh", "-c", "echo 'it works'"],
        env=[PATH, "HOME=/root"],
        cwd="/",
        user={"uid": uid, "gid": uid},
        capabilities=CAPABILITIES,
    )
    return {
        "ociVersion": spec.OCI_VERSION,
        "root": {"path": "/run/onggi/root", "readonly": False},
        "process": process,
        "hostname": "jar",
        "mounts": spec.mounts(writable=privileged, own_network=network),
        "linux": spec.linux(namespaces=kinds, privileged=privileged),
    }


def overlay() -> list[Mount]:
    """Return a root of two layers under a writable one."""
    options = ("lowerdir=/layers/b:/layers/a", "upperdir=/c/upper", "workdir=/c/work")
    return [Mount(type="overlay", source="overlay", options=options)]


def plan(
    config: dict[str, Any], *, kind: str = "v2", program: bytes = FILTER, init: bool = False
) -> Plan:
    """Plan `config` on a host of this kind."""
    return plan_container(
        config, overlay(), host(kind), identifier=IDENTIFIER, program=program, init=init
    )
