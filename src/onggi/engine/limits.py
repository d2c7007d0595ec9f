"""From the resource flags' own words to a request, fitted to this host."""

from __future__ import annotations

from onggi.errors import InvalidInput, Unsupported
from onggi.linux import user_namespace
from onggi.resources import spelling
from onggi.resources.admission import admit
from onggi.resources.host import device_numbers
from onggi.resources.request import Request
from onggi.runtime.spec import PIDS_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from onggi.resources.host import Host

# Docker's flag -> (the request's field, how its word is read); fields of lists hold one a word.
_WORDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "cpus": ("nano_cpus", spelling.parse_cpus),
    "cpu-shares": ("cpu_shares", spelling.parse_integer),
    "cpu-period": ("cpu_period", spelling.parse_integer),
    "cpu-quota": ("cpu_quota", spelling.parse_integer),
    "cpuset-cpus": ("cpuset_cpus", str),
    "cpuset-mems": ("cpuset_mems", str),
    "memory": ("memory", spelling.parse_size),
    "memory-reservation": ("memory_reservation", spelling.parse_size),
    "memory-swap": ("memory_swap", spelling.parse_memory_swap),
    "memory-swappiness": ("memory_swappiness", spelling.parse_integer),
    "oom-kill-disable": ("oom_kill_disable", "true".__eq__),
    "pids-limit": ("pids_limit", spelling.parse_integer),
    "blkio-weight": ("blkio_weight", spelling.parse_integer),
    "oom-score-adj": ("oom_score_adj", spelling.parse_integer),
    "shm-size": ("shm_size", spelling.parse_size),
}
_LISTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "blkio-weight-device": ("blkio_weight_device", spelling.parse_device_weight),
    "device-read-bps": ("device_read_bps", spelling.parse_device_rate),
    "device-write-bps": ("device_write_bps", spelling.parse_device_rate),
    "device-read-iops": ("device_read_iops", spelling.parse_device_iops),
    "device-write-iops": ("device_write_iops", spelling.parse_device_iops),
    "ulimit": ("ulimits", spelling.parse_ulimit),
}


# The controller that a flag needs, by the word that it begins with; other flags need none.
_CONTROLLERS = {
    "cpuset": "cpuset",
    "cpu": "cpu",
    "cpus": "cpu",
    "memory": "memory",
    "oom-kill": "memory",
    "pids": "pids",
    "blkio": "io",
    "device": "io",
}


def require_delegated(limits: dict[str, Any], host: Host) -> None:
    """Refuse what an ordinary user asked for and cannot have, where root would only be warned.

    Raises: Unsupported
    """
    for flag in limits:
        words = (_CONTROLLERS.get(flag.partition("-")[0]), _CONTROLLERS.get(flag[:8]))
        needed = next(filter(None, words), "")
        if needed and needed not in host.controllers:
            raise Unsupported(
                f"--{flag} takes the {needed} controller of cgroup v2, which was not delegated to "
                "this user here",
                hint="see docs/rootless.md on delegation",
            )


def request(limits: dict[str, Any], *, bounded: bool = True) -> Request:
    """Return what `limits` (see ContainerOptions) ask for.

    Args: bounded: whether processes are bounded unless the limits say otherwise.
    Raises: InvalidInput: a word that cannot be read, or numbers that contradict each other.
    """
    fields: dict[str, Any] = {}
    for flag, value in limits.items():
        if flag in _WORDS:
            name, parse = _WORDS[flag]
            fields[name] = _read(flag, parse, str(value))
        elif flag in _LISTS:
            name, parse = _LISTS[flag]
            words = [value] if isinstance(value, str) else value
            fields[name] = tuple(_read(flag, parse, word) for word in words)
        else:
            raise InvalidInput(f"unknown limit {flag!r}", hint=", ".join([*_WORDS, *_LISTS]))
    if bounded:
        fields.setdefault("pids_limit", PIDS_LIMIT)
    return Request(**fields)


def _read(flag: str, parse: Callable[[str], Any], word: str) -> Any:
    """Read one word; a refusal names the flag that it was given to."""
    try:
        return parse(word)
    except InvalidInput as error:
        raise InvalidInput(f"--{flag}: {error.message}", hint=error.hint) from error


def granted(limits: dict[str, Any], host: Host) -> tuple[Request, dict[str, Any], list[str]]:
    """Return what this host grants of `limits`, as `fitted` does.

    An ordinary user's processes are not bounded where nothing can bound them, which `info` tells.

    Raises: InvalidInput; Unsupported: as `require_delegated`.
    """
    is_root = user_namespace.is_first()
    if not is_root:
        require_delegated(limits, host)
    asked = request(limits, bounded=is_root or "pids" in host.controllers)
    return fitted(asked, host)


def fitted(asked: Request, host: Host) -> tuple[Request, dict[str, Any], list[str]]:
    """Fit `asked` to this host.

    Returns: what the host grants, the same as runtime-spec `linux.resources`, and a warning for
        each part that it cannot grant, as Docker words it.
    """
    granted, warnings = admit(asked, host)
    return granted, granted.to_oci(device_numbers(granted.device_paths())), warnings
