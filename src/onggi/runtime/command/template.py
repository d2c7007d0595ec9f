"""`spec`: write a configuration to begin with."""

from __future__ import annotations

import os

from onggi.errors import AlreadyExists
from onggi.runtime import spec
from onggi.runtime.command import bundle, output
from onggi.runtime.command.words import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.runtime.command.runtime import Runtime
    from onggi.runtime.command.words import Words

COMMAND = Command(
    "",
    0,
    0,
    Option("bundle", "DIR", "The bundle's directory (default: this one)", short="b"),
    Option("file", "FILE", "Write to FILE, seen from DIR (default: config.json)", short="f"),
    Option("rootless", "", "For a user other than root"),
)

# What runc's has: enough for a shell to look around with.
_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]


def execute(words: Words, _runtime: Runtime) -> int:
    """Write DIR/config.json, or another file, unless it is there."""
    path = os.path.join(words.text("bundle", "."), words.text("file") or bundle.FILE)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o666)
    except FileExistsError:
        hint = "remove it first"
        raise AlreadyExists(f"file {path} exists", hint=hint) from None
    with open(fd, "w", encoding="utf-8") as file:
        file.write(output.indented(document(rootless=words.has("rootless")), "\t"))
    return 0


def document(*, rootless: bool) -> dict[str, Any]:
    """Return the configuration: a shell on a terminal, on a read-only root."""
    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup")
    process = spec.process(
        args=["sh"],
        env=[f"PATH={spec.PATH}", "TERM=xterm"],
        cwd="/",
        user={"uid": 0, "gid": 0},
        capabilities=_CAPABILITIES,
    )
    process["terminal"] = True
    process["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
    linux = spec.linux(namespaces=kinds, privileged=False)
    linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    del linux["rootfsPropagation"]
    config = {
        "ociVersion": spec.OCI_VERSION,
        "process": process,
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "onggi",
        "mounts": spec.mounts(own_network=True),
        "linux": linux,
    }
    if rootless:
        _make_rootless(config)
    return config


def _make_rootless(config: dict[str, Any]) -> None:
    """Map the caller alone; the host's network and sysfs stay, for they take privileges."""
    linux = config["linux"]
    kept = [entry for entry in linux["namespaces"] if entry["type"] not in ("network", "cgroup")]
    linux["namespaces"] = [*kept, {"type": "user"}]
    for key, own in (("uidMappings", os.geteuid()), ("gidMappings", os.getegid())):
        linux[key] = [{"containerID": 0, "hostID": own, "size": 1}]
    del linux["resources"]
    for entry in config["mounts"]:
        entry["options"] = [word for word in entry["options"] if not word.startswith("gid=")]
    config["mounts"] = [
        entry
        for entry in config["mounts"]
        if entry["destination"] not in ("/sys", "/sys/fs/cgroup")
    ] + [
        {
            "destination": "/sys",
            "type": "none",
            "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro", "rro"],
        }
    ]
