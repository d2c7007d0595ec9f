"""Which capabilities a container holds: Docker's default, with what is added and dropped.

Source: moby, daemon/pkg/oci/caps (DefaultCapabilities, TweakCapabilities).
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.linux import capability

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
)

ALL = "ALL"


def resolve(add: Sequence[str], drop: Sequence[str], privileged: bool = False) -> tuple[str, ...]:
    """Return the capabilities of a container, in the kernel's order.

    ALL added is everything this process can give, without what is dropped by name. ALL dropped is
    nothing, with what is added. Otherwise the default loses what is dropped and then gains what is
    added, so that what is both is held. A privileged container has everything, whatever is dropped.

    Args: add, drop: names with or without CAP_, in either case, or ALL.
    Raises: InvalidInput: a name that is no capability, or one that this host can't give.
    """
    added, dropped = _normalize(add), _normalize(drop)
    if privileged:
        return _ordered(_available())
    if ALL in added:
        return _ordered(_available() - dropped)
    base = frozenset() if ALL in dropped else frozenset(DEFAULT) - dropped
    return _ordered(base | _require_available(added))


def _normalize(names: Iterable[str]) -> frozenset[str]:
    return frozenset(map(_name, names))


def _name(text: str) -> str:
    """Return the capability's full name, or ALL."""
    name = text.upper()
    if name == ALL:
        return name
    if not name.startswith("CAP_"):
        name = f"CAP_{name}"
    if name not in capability.NUMBERS:
        raise InvalidInput(f"unknown capability {text!r}", hint="such as NET_ADMIN, or ALL")
    return name


def _available() -> frozenset[str]:
    """Return what this process may pass on: its bounding set."""
    held = capability.bounding()
    return frozenset(name for name, number in capability.NUMBERS.items() if held >> number & 1)


def _require_available(names: frozenset[str]) -> frozenset[str]:
    missing = _ordered(names - _available()) if names else ()
    if missing:
        raise InvalidInput(f"this host can't give the capability {missing[0]}")
    return names


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=capability.NUMBERS.__getitem__))
