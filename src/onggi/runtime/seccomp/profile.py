"""Profiles as Docker writes them, resolved for one container: rules without conditions are left.

Source: moby/profiles, seccomp/seccomp_linux.go, setupSeccomp.
"""

from __future__ import annotations

import os

from onggi.errors import InvalidInput, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# Machine -> libseccomp's name for it, in conditions, and the OCI's, in lists of architectures.
MACHINES = {
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
}

_KEPT = ("defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata")


def default_profile(
    capabilities: Iterable[str], machine: str = "x86_64", kernel: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return Docker's default profile as the OCI's `linux.seccomp`.

    Args: capabilities: the container's bounding set; kernel: (major, minor), this one by default.
    """
    from onggi.runtime.seccomp import default

    return resolve(default.document(), capabilities, machine, kernel)


def resolve(
    document: dict[str, Any],
    capabilities: Iterable[str],
    machine: str = "x86_64",
    kernel: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Return what a profile in Docker's format means for one container, as `linux.seccomp`.

    Args: as for `default_profile`.
    Raises: InvalidInput: the profile contradicts itself; Unsupported: an unknown machine.
    """
    if machine not in MACHINES:
        raise Unsupported(f"no seccomp filter for machine {machine!r}", hint=", ".join(MACHINES))
    held = frozenset(capabilities)
    running = kernel or kernel_version(os.uname().release)
    resolved = {name: document[name] for name in _KEPT if document.get(name) is not None}
    resolved["architectures"] = _architectures(document, machine)
    resolved["syscalls"] = [
        _rule(rule)
        for rule in document.get("syscalls") or []
        if _applies(rule, held, MACHINES[machine][0], running)
    ]
    return resolved


def kernel_version(release: str) -> tuple[int, int]:
    """Return (major, minor) of a release such as "6.1.0-13-amd64".

    Raises: InvalidInput: it does not begin with two numbers.
    """
    major, _, rest = release.partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    if not (major.isdecimal() and minor):
        raise InvalidInput(f"{release!r} is no kernel release", hint='such as "6.1"')
    return int(major), int(minor)


def _architectures(document: dict[str, Any], machine: str) -> list[str]:
    """Return the ABIs to filter; Docker takes either a plain list or a map from each machine."""
    plain, mapped = document.get("architectures"), document.get("archMap")
    if plain and mapped:
        raise InvalidInput("the seccomp profile has both 'architectures' and 'archMap'")
    native = MACHINES[machine][1]
    for entry in mapped or []:
        if entry["architecture"] == native:
            return [native, *(entry.get("subArchitectures") or [])]
    return list(plain or [])


def _applies(
    rule: dict[str, Any], held: frozenset[str], arch: str, running: tuple[int, int]
) -> bool:
    """Tell whether a rule's conditions hold: none of the excluded, all of the included."""
    without, needed = rule.get("excludes") or {}, rule.get("includes") or {}
    if arch in (without.get("arches") or []) or held.intersection(without.get("caps") or []):
        return False
    if without.get("minKernel") and running >= kernel_version(without["minKernel"]):
        return False
    if needed.get("arches") and arch not in needed["arches"]:
        return False
    if not held.issuperset(needed.get("caps") or []):
        return False
    return not needed.get("minKernel") or running >= kernel_version(needed["minKernel"])


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Return the rule without its conditions."""
    names = rule.get("names") or []
    if rule.get("name"):
        if names:
            raise InvalidInput("a rule of the seccomp profile has both 'name' and 'names'")
        names = [rule["name"]]
    kept = {key: rule[key] for key in ("action", "errnoRet", "args") if rule.get(key) is not None}
    return {"names": names, **kept}
