"""The flags that a seccomp filter is loaded with, which need no compiling to be known."""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.linux import seccomp as facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # the process has one thread
    "SECCOMP_FILTER_FLAG_LOG": facts.SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": facts.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": facts.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}


def filter_flags(seccomp: dict[str, Any]) -> int:
    """Return the flags to load the filter with; where none are listed, SPEC_ALLOW, as in runc.

    Raises: InvalidInput: an unknown flag.
    """
    flags = seccomp.get("flags")
    if flags is None:
        return facts.SECCOMP_FILTER_FLAG_SPEC_ALLOW | _listener(seccomp)
    for name in flags:
        if name not in FLAGS:
            raise InvalidInput(f"unknown seccomp flag {name!r}", hint=", ".join(FLAGS))
    return sum({FLAGS[name] for name in flags}) | _listener(seccomp)


def _listener(seccomp: dict[str, Any]) -> int:
    notifies = any(rule["action"] == "SCMP_ACT_NOTIFY" for rule in seccomp.get("syscalls") or [])
    return facts.SECCOMP_FILTER_FLAG_NEW_LISTENER if notifies else 0
