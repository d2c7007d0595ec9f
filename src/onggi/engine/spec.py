"""From what was asked for and what the image says to an OCI runtime configuration.

This is where Docker's defaults meet the image's; from here on there is only the specification.
"""

from __future__ import annotations

from onggi.engine import volumes
from onggi.engine.environment import assignments, merged
from onggi.engine.users import held_user
from onggi.errors import InvalidInput, Unsupported
from onggi.linux import namespace, signals
from onggi.resources import layout
from onggi.runtime import capabilities, spec
from onggi.runtime.rights import Rights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.options import ContainerOptions
    from onggi.engine.users import Accounts
    from onggi.engine.volumes import VolumeMount
    from onggi.oci.image import ImageConfig
    from onggi.resources.request import Request

NETWORKS = ("none", "host")
USERNS = ("host", "auto")

# Of `--security-opt`, what each key may say.
_SECURITY = {
    "no-new-privileges": ("true", "false"),
    "seccomp": ("unconfined", "default", "builtin"),
    "systempaths": ("unconfined",),
    "label": ("disable",),
}
_SECURITY_HINT = (
    "no-new-privileges[=false], seccomp=unconfined, seccomp=PROFILE.json, apparmor=PROFILE, "
    "systempaths=unconfined"
)
_MOST_NAME = 64  # bytes of a host or domain name: __NEW_UTS_LEN, uname(2)
MAPPED_IDS = 65536  # of a user namespace: all that a 16-bit system knows, `nobody` among them


class Parts:
    """What a configuration is made of, each looked up or parsed already."""

    __slots__ = (
        "accounts",
        "files",
        "first_ids",
        "hostname",
        "identifier",
        "image",
        "mounts",
        "request",
        "resources",
        "rights",
    )

    def __init__(
        self,
        *,
        identifier: str,
        image: ImageConfig,
        accounts: Accounts,
        mounts: list[VolumeMount],
        files: dict[str, str],
        request: Request,
        resources: dict[str, Any],
        hostname: str = "",
        first_ids: tuple[int, int] = (0, 0),
        rights: Rights | None = None,
    ) -> None:
        self.identifier = identifier
        self.image = image
        self.accounts = accounts
        self.mounts = mounts
        self.files = files  # path inside -> file on the host: hosts, hostname, resolv.conf
        self.request = request  # what is asked for beside the cgroups: ulimits, shm size, …
        self.resources = resources  # runtime-spec linux.resources
        self.hostname = hostname  # as the program will be told it
        self.rights = rights or Rights()  # of whoever makes it
        self.first_ids = first_ids  # the host's user and group that a user namespace begins with


def build(options: ContainerOptions, parts: Parts, *, root: str) -> dict[str, Any]:
    """Return the OCI runtime configuration of the container.

    Args: root: the directory on the host where its root will be mounted.
    Raises: InvalidInput: words that make no sense or contradict each other.
    """
    _refuse(options)
    if parts.rights.users is not None:
        _refuse_rootless(options)
    namespaces = tuple(
        kind for kind in spec.NAMESPACES if kind != "network" or options.network != "host"
    )
    linux = spec.linux(namespaces=namespaces, privileged=options.privileged)
    if security(options).get("systempaths"):
        linux.pop("maskedPaths", None)
        linux.pop("readonlyPaths", None)
    _add_resources(linux, options, parts)
    if options.sysctls:
        linux["sysctl"] = _sysctls(options)
    if options.userns == "auto":
        _add_user_namespace(linux, parts.first_ids)
    config = {
        "ociVersion": spec.OCI_VERSION,
        "root": {"path": root, "readonly": options.read_only},
        "process": _process(options, parts),
        "mounts": _mounts(options, parts),
        "linux": linux,
        "annotations": {**options.labels, **options.annotations},
    }
    if options.network != "host" or options.hostname:
        config["hostname"] = options.hostname or parts.identifier[:12]
    if options.domainname:
        config["domainname"] = options.domainname
    return config


def command(options: ContainerOptions, image: ImageConfig) -> list[str]:
    """Return the words to execute: the entry point's, then the command's.

    An entry point of one's own leaves the image's command out. Source: docker run reference.
    """
    if options.entrypoint is None:
        words = [*image.entrypoint, *(options.command or image.cmd)]
    else:
        words = [*options.entrypoint, *options.command]
    if not words:
        raise InvalidInput("no command specified", hint="the image names none")
    return words


def stop_signal(options: ContainerOptions, image: ImageConfig) -> int:
    """Return the signal that asks the program to end."""
    word = options.stop_signal or image.stop_signal or "SIGTERM"
    try:
        return signals.parse(word)
    except ValueError:
        raise InvalidInput(f"invalid signal: {word}", hint="such as SIGTERM, TERM or 15") from None


def _refuse(options: ContainerOptions) -> None:
    if options.network not in NETWORKS:
        raise InvalidInput(
            f"network {options.network!r} not found",
            hint='there are "none", loopback only, and "host", the host\'s own',
        )
    _require_node_name(options.hostname, "hostname")
    _require_node_name(options.domainname, "domainname")
    if options.userns not in USERNS:
        raise InvalidInput(f"invalid USER mode: {options.userns}", hint="host or auto")
    if options.userns == "auto" and options.privileged:
        raise InvalidInput("privileged mode is incompatible with user namespaces")


def _refuse_rootless(options: ContainerOptions) -> None:
    if options.userns == "auto":
        raise Unsupported(
            "--userns=auto takes IDs of the host that an ordinary user cannot give",
            hint="the user's containers are in a user namespace as it is",
        )


def _require_node_name(name: str, kind: str) -> None:
    """Refuse what the kernel would not take, and what would be several words in /etc/hostname."""
    if len(name.encode()) > _MOST_NAME:
        raise InvalidInput(f"invalid {kind} {name!r}", hint=f"at most {_MOST_NAME} bytes")
    if not name.isprintable() or " " in name:
        raise InvalidInput(f"invalid {kind} {name!r}", hint="no blanks, no control characters")


def _sysctls(options: ContainerOptions) -> dict[str, str]:
    """Return the kernel parameters asked for, each one of a namespace of the container's own."""
    for name in options.sysctls:
        letters = name.replace(".", "").replace("_", "").replace("-", "")
        if not (letters.isascii() and letters.isalnum()) or not _is_own_sysctl(name, options):
            raise InvalidInput(
                f"sysctl {name!r} is not allowed",
                hint="fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm*, and net.* unless the "
                "network is the host's",
            )
    return dict(options.sysctls)


def _is_own_sysctl(name: str, options: ContainerOptions) -> bool:
    """Tell whether it may be set. Source: docker/cli opts, ValidateSysctl."""
    kind = namespace.of_parameter(name)
    return kind == "ipc" or (kind == "network" and options.network != "host")


def _process(options: ContainerOptions, parts: Parts) -> dict[str, Any]:
    user = parts.accounts.find(options.user or parts.image.user, options.group_add)
    held = capabilities.resolve(options.cap_add, options.cap_drop, options.privileged)
    process = spec.process(
        args=command(options, parts.image),
        env=environment(options, parts, user.home),
        cwd=directory(options.workdir or parts.image.working_dir or "/"),
        user=held_user(user, parts.rights, options.group_add),
        capabilities=list(held),
    )
    process["terminal"] = options.tty
    said = security(options)
    process["noNewPrivileges"] = said["no-new-privileges"] == "true"
    if said.get("apparmor", "unconfined") != "unconfined":
        process["apparmorProfile"] = said["apparmor"]
    rlimits = parts.request.rlimits()
    if rlimits:
        process["rlimits"] = rlimits
    if parts.request.oom_score_adj is not None:
        process["oomScoreAdj"] = parts.request.oom_score_adj
    return process


def security(options: ContainerOptions) -> dict[str, str]:
    """Read `--security-opt`; return what holds, by key; of a seccomp profile, its text.

    What is so anyway is taken: no label of SELinux is set here, and no profile of AppArmor that
    was not asked for.

    Raises: InvalidInput: a key or a value that is not known here.
    """
    default = "false" if options.privileged else "true"
    said = {"no-new-privileges": default, "seccomp": "default"}
    if options.privileged:
        said["seccomp"] = "unconfined"
    for text in options.security_opt:
        key, mark, value = text.partition("=" if "=" in text.partition(":")[0] else ":")
        value = value if mark else "true"
        if value not in _SECURITY.get(key, ()) and not _is_profile(key, value):
            raise InvalidInput(f"invalid --security-opt {text!r}", hint=_SECURITY_HINT)
        said[key] = "default" if (key, value) == ("seccomp", "builtin") else value
    return said


def _is_profile(key: str, value: str) -> bool:
    if key == "apparmor":
        return bool(value) and value.isprintable()
    return key == "seccomp" and value.lstrip().startswith("{")


def environment(options: ContainerOptions, parts: Parts, home: str) -> list[str]:
    """Return the environment: PATH, HOSTNAME, TERM, the image's, the caller's, and HOME.

    A name of the caller's without `=` takes the variable away.
    """
    own = [
        f"PATH={spec.PATH}",
        f"HOSTNAME={parts.hostname or options.hostname or parts.identifier[:12]}",
    ]
    if options.tty:
        own.append("TERM=xterm")
    values = merged(own, parts.image.env, options.env)
    values.setdefault("HOME", home)
    return assignments(values)


def directory(path: str) -> str:
    """Return a working directory as it was asked for. Raises: InvalidInput: it is relative."""
    if not path.startswith("/"):
        raise InvalidInput(f"working directory {path!r} is invalid", hint="it must be absolute")
    return path


def _mounts(options: ContainerOptions, parts: Parts) -> list[dict[str, Any]]:
    shm_bytes = parts.request.shm_size or spec.SHM_BYTES
    mapped = options.userns == "auto"
    users = parts.rights.users
    own = [*volumes.tmpfs(options), *(mount.to_oci(mapped=mapped) for mount in parts.mounts)]
    if (mapped or users is not None) and options.devices:
        from onggi.engine import devices

        shown = [entry for text in options.devices for entry in devices.bound(text)]
        own += {entry["destination"]: entry for entry in shown}.values()  # the last one counts
    targets = {entry["destination"] for entry in own}
    base = spec.mounts(
        shm_bytes=shm_bytes,
        writable=options.privileged,
        own_network=options.network != "host",
        users=users,
    )
    # What was asked for takes the place of what is mounted by default, also of what lies in it.
    hidden = tuple(f"{target}/" for target in targets)
    kept = [entry for entry in base if not f"{entry['destination']}/".startswith(hidden)]
    idmap = ["idmap"] if mapped else []
    files = [
        {
            "destination": path,
            "type": "bind",
            "source": source,
            "options": ["bind", "rprivate", "nosuid", "nodev", "noexec", *idmap],
        }
        for path, source in parts.files.items()
        if path not in targets
    ]
    return [*kept, *sorted([*files, *own], key=lambda entry: str(entry["destination"]))]


def _add_resources(linux: dict[str, Any], options: ContainerOptions, parts: Parts) -> None:
    rules = linux["resources"]["devices"]
    nodes = []
    if options.privileged or options.devices or options.device_cgroup_rules:
        from onggi.engine import devices

        nodes += devices.all_of_host() if options.privileged else []
        for text in options.devices:
            more, allowed = devices.asked(text)
            # In a user namespace nobody may make nodes; see `_mounts`.
            nodes += more if options.userns == "host" and parts.rights.users is None else []
            rules += allowed
        rules += map(devices.rule, options.device_cgroup_rules)
    if nodes:
        linux["devices"] = nodes
    linux["resources"] = {**parts.resources, "devices": rules}
    parent = options.cgroup_parent or layout.PARENT
    if ".." in parent.split("/"):
        raise InvalidInput(f"invalid cgroup parent {parent!r}", hint="it may not contain '..'")
    # A relative one begins at the top, as Docker's: it must mean the same to whoever cleans up.
    linux["cgroupsPath"] = f"/{parent.strip('/')}/{parts.identifier}".replace("//", "/")


def _add_user_namespace(linux: dict[str, Any], first_ids: tuple[int, int]) -> None:
    linux["namespaces"] = [{"type": "user"}, *linux["namespaces"]]
    for key, first in zip(("uidMappings", "gidMappings"), first_ids, strict=True):
        linux[key] = [{"containerID": 0, "hostID": first, "size": MAPPED_IDS}]
