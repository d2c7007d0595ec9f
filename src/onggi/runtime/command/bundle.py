"""Read a bundle's configuration, refuse what makes no sense, and fill in what runtimes assume.

What comes out is ready to plan: every path is absolute, every device that programs expect is
allowed, and what this host can't do has been refused or, where runc goes on without it, warned of.

Source: runtime-spec config.md, config-linux.md; runc libcontainer/specconv/spec_linux.go and
libcontainer/configs/validate/validator.go.
"""

from __future__ import annotations

import os
import stat

from onggi.errors import InvalidInput, Unsupported
from onggi.linux import capability, namespace
from onggi.linux.path import is_regular
from onggi.oci import jsontext
from onggi.resources.devices import DEFAULT_RULES
from onggi.runtime.command import schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

FILE = "config.json"
_MOST_BYTES = 16 << 20

_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def read(directory: str, file: str, warn: Callable[[str], None]) -> dict[str, Any]:
    """Return the configuration of the bundle in `directory`, ready to plan.

    Args: file: its configuration, if it lies elsewhere. warn: is told what will not be.
    Raises: InvalidInput: with the member's name.
    """
    config = _load_config(directory, file)
    _require_version(config["ociVersion"])
    require_process(config["process"])
    _fill_root(config, directory)
    _fill_mounts(config, directory)
    linux = config.setdefault("linux", {})
    _require_namespaces(config, linux)
    _require_possible(linux)
    _require_hooks(config.get("hooks", {}))
    resources = linux.setdefault("resources", {})
    resources["devices"] = device_rules(resources.get("devices", []))
    keep_capabilities(config["process"], warn)
    return config


def _load_config(directory: str, file: str) -> dict[str, Any]:
    """Return the configuration; what the bundle has in its place is opened if it is a file."""
    if file:  # the caller's own word, perhaps a pipe
        return load(file, schema.CONFIG, "config")
    path = os.path.join(directory, FILE)
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InvalidInput(f"JSON specification file {path} not found") from None
    try:
        if not is_regular(place):
            raise InvalidInput(f"{path} is not a file")
        return load(f"/proc/self/fd/{place}", schema.CONFIG, "config")
    finally:
        os.close(place)


def device_rules(asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rules for nothing but what is asked for, and then what every container has."""
    deny, *allowed = DEFAULT_RULES
    return [deny, *asked, *allowed]


def load(path: str, shape: dict[str, Any], what: str) -> dict[str, Any]:
    """Return the JSON document at `path`, which has that shape; `what` is its name in refusals."""
    try:
        with open(path, "rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise InvalidInput(f"JSON specification file {path} not found") from None
    return parse(content, shape, what)


def parse(content: bytes, shape: dict[str, Any], what: str) -> dict[str, Any]:
    """Return the JSON document `content`, which has that shape."""
    if len(content) > _MOST_BYTES:
        raise InvalidInput(f"{what}: more than {_MOST_BYTES >> 20} MiB")
    try:
        document = jsontext.loads_unique(content)
    except ValueError as error:
        raise InvalidInput(f"{what}: not JSON: {error}") from error
    result: dict[str, Any] = schema.conform(document, shape, what)
    return result


def _require_version(version: str) -> None:
    if not version.startswith("1."):
        raise InvalidInput(f"unsupported specification version {version!r}", hint="1.x")


def require_process(process: dict[str, Any]) -> None:
    """Refuse a process that could not be one. Source: runc utils_linux.go, validateProcessSpec."""
    if not process.get("args"):
        raise InvalidInput("args must not be empty")
    if not process["args"][0]:
        raise InvalidInput("args[0] must not be empty")
    if not process["cwd"].startswith("/"):
        raise InvalidInput("Cwd must be an absolute path")
    for entry in process.get("env", []):
        _require_variable(entry)
    _require_labels(process)


def _require_variable(entry: str) -> None:
    """Refuse what is not NAME=VALUE. Source: runc init_linux.go, populateProcessEnvironment."""
    name, equals, _ = entry.partition("=")
    if not equals:
        raise InvalidInput(f"invalid environment variable: {entry!r}", hint="NAME=VALUE")
    if not name:
        raise InvalidInput(f"environment variable {entry!r} has no name")


def _require_labels(process: dict[str, Any]) -> None:
    """Refuse labels of security modules that this host does not have."""
    if process.get("apparmorProfile"):
        _require_apparmor()
    if process.get("selinuxLabel"):
        _require_selinux()


def _require_apparmor() -> None:
    from onggi.linux import security_modules

    if not security_modules.apparmor_enabled():
        raise Unsupported("apparmor profile is specified, but apparmor is not enabled on this host")


def _require_selinux() -> None:
    from onggi.linux import security_modules

    if not security_modules.selinux_enabled():
        raise Unsupported(
            "selinux label is specified in config, but selinux is disabled or not supported"
        )


def _require_possible(linux: dict[str, Any]) -> None:
    """Refuse what neither this runtime nor any step of it can do: silence would be a lie."""
    if linux.get("mountLabel"):
        _require_selinux()
    if linux.get("netDevices"):
        from onggi.runtime.plan import network_devices

        network_devices.require_possible(linux)
    seccomp = linux.get("seccomp", {})
    asks = any(rule["action"] == "SCMP_ACT_NOTIFY" for rule in seccomp.get("syscalls", []))
    if asks and not seccomp.get("listenerPath"):
        raise InvalidInput("seccomp.listenerPath must be set where SCMP_ACT_NOTIFY is used")
    if seccomp.get("listenerPath") and not asks:
        seccomp.pop("listenerPath")  # the kernel gives a listener to filters that ask alone
    if seccomp.get("listenerPath", "")[:1] not in ("", "/"):
        raise InvalidInput("seccomp.listenerPath must be absolute: who starts may be elsewhere")


def _require_hooks(hooks: dict[str, Any]) -> None:
    """Refuse hooks that would depend on where the caller is. Source: config.md, "hooks"."""
    for kind in schema.HOOKS:
        for hook in hooks.get(kind, []):
            if not hook["path"].startswith("/"):
                raise InvalidInput(f"{kind} hook {hook['path']!r}: its path must be absolute")


def keep_capabilities(process: dict[str, Any], warn: Callable[[str], None]) -> None:
    """Keep those capabilities that this kernel knows, and warn of the others, as runc does."""
    sets = process.get("capabilities", {})
    last = capability.last_cap() if sets else 0
    unknown: set[str] = set()
    for name in _SETS:
        listed = sets.get(name, [])
        known = [one for one in listed if capability.NUMBERS.get(one, last + 1) <= last]
        unknown.update(one for one in listed if one not in known)
        if listed:
            sets[name] = list(dict.fromkeys(known))
    if unknown:
        warn(f"ignoring unknown or unavailable capabilities: {sorted(unknown)}")
    _keep_ambient(sets)


def _keep_ambient(sets: dict[str, list[str]]) -> None:
    """Keep of the ambient set what the kernel lets one raise: capabilities(7), "Ambient".

    Without a word, as runc and crun: engines ask for it in every container, and never got it since
    they ceased to make capabilities inheritable (CVE-2022-24769).
    """
    base = set(sets.get("permitted", [])) & set(sets.get("inheritable", []))
    if "ambient" in sets:
        sets["ambient"] = [one for one in sets["ambient"] if one in base]


def _fill_root(config: dict[str, Any], directory: str) -> None:
    root = config["root"]
    path = os.path.normpath(os.path.join(directory, root["path"]))
    try:
        real = os.path.realpath(path, strict=True)
        is_directory = stat.S_ISDIR(os.stat(real).st_mode)
    except OSError as error:
        raise InvalidInput(f"rootfs {path!r}: {error.strerror}") from error
    if not is_directory or real == "/":
        raise InvalidInput(f"rootfs {path!r} is not a directory of its own")
    root["path"] = real


def _fill_mounts(config: dict[str, Any], directory: str) -> None:
    for entry in config.get("mounts", []):
        target = entry["destination"]
        # Relative ones are from the root, as in old configurations. Source: config.md, "mounts".
        entry["destination"] = os.path.normpath("/" + target.lstrip("/"))
        options = entry.get("options", [])
        if entry.get("type") == "bind" or "bind" in options or "rbind" in options:
            if not entry.get("source"):
                raise InvalidInput(f"bind mount at {target!r} has no source")
            entry["source"] = os.path.normpath(os.path.join(directory, entry["source"]))
        _require_mappings(entry, options)


def _require_mappings(entry: dict[str, Any], options: list[str]) -> None:
    """Refuse half of a mapping. Source: runc libcontainer/configs/validate, checkIDMapMounts."""
    mappings = [entry[name] for name in ("uidMappings", "gidMappings") if entry.get(name)]
    if not mappings:
        return
    if len(mappings) == 1:
        raise InvalidInput(f"mount at {entry['destination']!r} maps users or groups, not both")
    if "bind" not in options and "rbind" not in options and entry.get("type") != "bind":
        raise InvalidInput(f"mount at {entry['destination']!r} has mappings and is no bind mount")


def _require_namespaces(config: dict[str, Any], linux: dict[str, Any]) -> None:
    """Refuse what would change the host, or hide nothing, for want of a namespace."""
    kinds = {entry["type"]: entry.get("path", "") for entry in linux.get("namespaces", [])}
    for kind, path in kinds.items():
        if path and not path.startswith("/"):
            raise InvalidInput(f"namespace path {path!r} of {kind} is relative")
    for name in ("hostname", "domainname"):
        if config.get(name) and "uts" not in kinds:
            raise InvalidInput(f"unable to set {name} without a private UTS namespace")
    if ("uidMappings" in linux or "gidMappings" in linux) and "user" not in kinds:
        raise InvalidInput("user namespace mappings specified, but user namespace isn't enabled")
    if linux.get("timeOffsets") and "time" not in kinds:
        raise InvalidInput("time namespace offsets specified, but time namespace isn't enabled")
    for name in linux.get("sysctl", {}):
        _require_own_sysctl(name, kinds)


def _require_own_sysctl(name: str, kinds: dict[str, str]) -> None:
    dotted = name.replace("/", ".") if "." not in name.partition("/")[0] else name
    if ".." in dotted.split("/") or not dotted:
        raise InvalidInput(f"sysctl {name!r} is no kernel parameter")
    needed = namespace.of_parameter(dotted)
    if not needed:
        raise InvalidInput(f"sysctl {name!r} is not in a separate kernel namespace")
    if needed not in kinds:
        raise InvalidInput(f"sysctl {name!r} is not allowed in the hosts {needed} namespace")
