"""What of the host's files is mounted into the container, and may be written to."""

from __future__ import annotations

import os
import stat

from onggi.engine.security import remedies
from onggi.engine.security.findings import HIGH, LOW, MEDIUM, OK, Finding, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from onggi.engine.security.facts import Facts, Json, Visible

# A path of the host -> what it means to see it; "" is nothing special. What is below one counts as
# it, but of "/", which means all of it.
_SENSITIVE = {
    "/": "all of the host",
    "/etc": "the host's accounts and settings",
    "/root": "the files of the host's root",
    "/home": "the files of the host's users",
    "/boot": "the host's kernel",
    "/dev": "the host's devices",
    "/dev/shm": "",
    "/proc": "the host's processes and kernel",
    "/sys": "the host's devices and kernel",
    "/run": "the host's services and their sockets",
    "/var/run": "the host's services and their sockets",
    "/usr": "the host's programs",
    "/bin": "the host's programs",
    "/sbin": "the host's programs",
    "/lib": "the host's programs",
    "/lib64": "the host's programs",
    "/var/lib": "the state of the host's services",
    "/var/spool/cron": "what the host does by itself",
}
_ENGINES = (
    *("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock", "onggi.sock"),
    *("dockershim.sock", "docker.sock.raw", "cri-dockerd.sock"),
)
# Where they usually are: to connect, it is enough to see one.
_USUAL_SOCKETS = (
    *("/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"),
    *("/run/crio/crio.sock", "/run/buildkit/buildkitd.sock"),
)
_SHARED = ("shared", "rshared")


def examine(facts: Facts) -> Section:
    """Say what each bind mount of the host opens."""
    binds = [mount for mount in facts.record["mounts"] if mount["Type"] == "bind"]
    findings = [finding for bind in binds for finding in _findings(facts, bind)]
    if not binds:
        findings.append(Finding("mounts:none", OK, "no directory of the host is mounted"))
    return Section(
        "mounts",
        "The host's files",
        findings=findings,
        lines=[(bind["Destination"], f"is {bind['Source']} of the host") for bind in binds],
        facts=[
            {
                "Source": bind["Source"],
                "Destination": bind["Destination"],
                "Writable": _is_writable(facts, bind),
            }
            for bind in binds
        ],
    )


def _findings(facts: Facts, bind: Json) -> Iterator[Finding]:
    source, target = os.path.realpath(bind["Source"]), bind["Destination"]
    meaning = _meaning(source, facts)
    socket = _socket(source)
    leave_out = remedies.mount(facts.options, target)
    if socket:
        severity = _lessened(facts, HIGH if _is_engine(source) else MEDIUM)
        yield Finding(f"mount:socket:{target}", severity, f"{target} is {socket}", leave_out)
        return
    if meaning:
        engines = [place for place in _USUAL_SOCKETS if _is_seen(place, source)]
        severity = _lessened(facts, HIGH if engines else MEDIUM)
        what = f"{target} shows {meaning} ({bind['Source']})"
        what += f", the socket {engines[0]} of a container engine among it" if engines else ""
        yield Finding(f"mount:sensitive:{target}", severity, what, leave_out)
    if _is_writable(facts, bind):
        severity = _lessened(facts, HIGH if meaning else LOW)
        what = f"{target} can be written to, which is {meaning or bind['Source']} of the host"
        what = what if not meaning else f"{target} can be written to: {meaning}"
        read_only = remedies.mount_with(facts.options, target, "ro")
        yield Finding(f"mount:writable:{target}", severity, what, read_only)
    else:
        what = f"{target} can only be read ({bind['Source']})"
        yield Finding(f"mount:writable:{target}", OK, what)
    if bind.get("Propagation") in _SHARED:
        what = f"what is mounted below {target} appears on the host, too"
        private = remedies.mount_with(facts.options, target, "rprivate")
        yield Finding(f"mount:shared:{target}", _lessened(facts, MEDIUM), what, private)


def _lessened(facts: Facts, severity: str) -> str:
    """Tell how bad it is for users who are not the host's: they get what strangers get.

    Of an ordinary user's container, root gets what the user has.
    """
    if facts.rootless:
        return MEDIUM if severity == HIGH else severity
    return LOW if facts.own_users else severity


def _meaning(source: str, facts: Facts) -> str:
    """Return what a sensitive path of the host holds, "" for any other."""
    for tree in facts.trees[-1:]:
        store = tree.split("/layers/")[0].split("/places")[0]
        if source == store or source.startswith(f"{store}/") or store.startswith(f"{source}/"):
            return "the images and containers of this engine"
    for path in sorted(_SENSITIVE, key=len, reverse=True):
        if source == path or (path != "/" and source.startswith(f"{path}/")):
            return _SENSITIVE[path]
    return ""


def _socket(source: str) -> str:
    try:
        is_socket = stat.S_ISSOCK(os.stat(source).st_mode)
    except OSError:
        is_socket = False
    if _is_engine(source):
        return "the socket of a container engine, which makes any container for who asks"
    return "a socket of a service of the host's" if is_socket else ""


def _is_seen(place: str, source: str) -> bool:
    """Tell whether a socket is there, and below a directory."""
    is_below = os.path.realpath(place).startswith(f"{source.rstrip('/')}/")
    return is_below and os.path.exists(place)


def _is_engine(source: str) -> bool:
    return os.path.basename(source) in _ENGINES


def _is_writable(facts: Facts, bind: Json) -> bool:
    """Tell whether any mount that came with it may be written to."""
    return any(not mount.read_only for mount in _that_came_with(facts, bind))


def _that_came_with(facts: Facts, bind: Json) -> list[Visible]:
    """Return the mounts at a bind's place and below, but for those of other entries."""
    target = bind["Destination"]
    asked = [one["destination"] for one in facts.record["config"]["mounts"]]
    nearer = [path for path in asked if path != target and f"{path}/".startswith(f"{target}/")]
    return [
        mount
        for mount in facts.mounts
        if mount.is_below(target) and not any(mount.is_below(path) for path in nearer)
    ]
