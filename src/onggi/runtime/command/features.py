"""`features`: what of the specification this runtime does, as JSON.

Source: runtime-spec features.md, features-linux.md.
"""

from __future__ import annotations

import os
import sys

from onggi.linux import capability, seccomp
from onggi.runtime.command import output, schema
from onggi.runtime.command.words import Command
from onggi.runtime.plan.container import KINDS
from onggi.runtime.seccomp.compile import ABIS
from onggi.runtime.seccomp.flags import FLAGS
from onggi.runtime.seccomp.rules import ACTIONS, COMPARISONS
from onggi.runtime.spec import OCI_VERSION
from onggi.runtime.steps import options
from onggi.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command("", 0, 0)


def execute(_words: Words, _runtime: Runtime) -> int:
    """Print the features."""
    sys.stdout.write(output.indented(document()) + "\n")
    return 0


def document() -> dict[str, Any]:
    """Return the features of this runtime on any host, but for the seccomp flags it could use."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": list(schema.CONFIG["hooks"]),
        "mountOptions": _mount_options(),
        "linux": {
            "namespaces": sorted(KINDS),
            "capabilities": list(capability.NUMBERS),
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": True,
                "systemdUser": False,
                "rdma": True,
            },
            "seccomp": _seccomp(),
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {"org.onggi.version": VERSION},
    }


def _mount_options() -> list[str]:
    recursive = [f"r{word}" for word in options.ATTRIBUTES]
    known = (*options.ATTRIBUTES, *recursive, *options.PROPAGATION, *options.SUPERBLOCK)
    return sorted({*known, *options.BIND, *options.IGNORED, "idmap", "ridmap"})


def _seccomp() -> dict[str, Any]:
    machine = os.uname().machine
    return {
        "enabled": machine in ABIS,
        "actions": sorted(ACTIONS),
        "operators": sorted(f"SCMP_CMP_{name}" for name in COMPARISONS),
        "archs": [abi.oci_name for abi in ABIS.get(machine, ())],
        "knownFlags": list(FLAGS),
        "supportedFlags": [name for name, flag in FLAGS.items() if seccomp.supports_flag(flag)],
    }
