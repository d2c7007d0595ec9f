"""What the seccomp filter refuses, and which risky system calls it lets through.

Source: seccomp(2); docs.docker.com/engine/security/seccomp, for why calls are refused.
"""

from __future__ import annotations

import os

from onggi.engine.security.findings import LOW, MEDIUM, OK, Finding, Remedy, Section
from onggi.linux.syscall_table import TABLES
from onggi.runtime.seccomp.answers import ALLOWED, BY_ARGUMENTS, REFUSED, judged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.security.facts import Facts

_TRACE = "reads and changes other processes of the container"
_KEYS = "the kernel's keyrings, which namespaces do not separate"
_MOUNT = "mounts"
_MODULE = "loads code into the kernel"
_NAMESPACES = "new user namespaces, in which it has every capability"

RISKY = {
    "acct": "accounts processes into a file",
    "add_key": _KEYS,
    "bpf": "programs in the kernel",
    "clock_settime": "the host's clock",
    "clone3": _NAMESPACES,
    "create_module": _MODULE,
    "delete_module": "takes code out of the kernel",
    "fanotify_init": "watches, and holds up, whole file systems",
    "finit_module": _MODULE,
    "fsmount": _MOUNT,
    "fsopen": _MOUNT,
    "init_module": _MODULE,
    "io_uring_enter": "calls past the filter",
    "io_uring_register": "calls past the filter",
    "io_uring_setup": "calls past the filter",
    "ioperm": "I/O ports",
    "iopl": "I/O ports",
    "kcmp": "where the kernel keeps things",
    "kexec_file_load": "another kernel",
    "kexec_load": "another kernel",
    "keyctl": _KEYS,
    "lookup_dcookie": "paths of the host's files",
    "mount": _MOUNT,
    "mount_setattr": _MOUNT,
    "move_mount": _MOUNT,
    "open_by_handle_at": "files of the host's disks, by handle",
    "open_tree": _MOUNT,
    "perf_event_open": "what the processors do",
    "pidfd_getfd": "takes descriptors of other processes",
    "pivot_root": "another root directory",
    "process_vm_readv": _TRACE,
    "process_vm_writev": _TRACE,
    "ptrace": _TRACE,
    "quotactl": "disk quotas",
    "reboot": "restarts the host",
    "request_key": _KEYS,
    "setns": "other namespaces",
    "settimeofday": "the host's clock",
    "swapoff": "the host's swap",
    "swapon": "the host's swap",
    "syslog": "the kernel's messages",
    "umount2": "takes mounts away, and what they hide appears",
    "unshare": _NAMESPACES,
    "userfaultfd": "holds the kernel up at a moment of its choice",
}
_OPTION = ("--security-opt", "seccomp=default")


def examine(facts: Facts) -> Section:
    """Say what the filter refuses."""
    machine = os.uname().machine
    verdicts = judged(facts.program, machine) if facts.program else _all(machine)
    told = {
        kind: [name for name, one in verdicts.items() if one == kind]
        for kind in (REFUSED, ALLOWED, BY_ARGUMENTS)
    }
    risky = [name for name in RISKY if verdicts.get(name, REFUSED) != REFUSED]
    return Section(
        "calls",
        "System calls",
        findings=[_filter(facts, told), _risky(risky)] if facts.program else [_unconfined(facts)],
        lines=[("calls", _counted(told))],
        facts={
            "Filter": _kind(facts),
            **{kind.title().replace(" ", ""): names for kind, names in told.items()},
            "Risky": risky,
        },
    )


def _counted(told: dict[str, list[str]]) -> str:
    text = f"{len(told[REFUSED])} refused, {len(told[ALLOWED])} allowed"
    asked = told[BY_ARGUMENTS]
    return f"{text}, {len(asked)} by their arguments ({', '.join(asked)})" if asked else text


def _all(machine: str) -> dict[str, str]:
    return dict.fromkeys(sorted(TABLES[machine]), ALLOWED)


def _kind(facts: Facts) -> str:
    said = facts.record["seccomp"]
    if not facts.program:
        return "unconfined"
    return said if said == "default" else "own"


def _unconfined(facts: Facts) -> Finding:
    texts = [text for text in facts.options["security_opt"] if text.startswith("seccomp")]
    without = [word for text in texts for word in ("--security-opt", text)]
    return Finding(
        "calls:filter",
        MEDIUM,
        "no seccomp filter: every call reaches the kernel, and every fault in it",
        Remedy(_OPTION, without),
        details=_reasons(list(RISKY)),
    )


def _filter(facts: Facts, told: dict[str, list[str]]) -> Finding:
    which = {"default": "the default seccomp filter", "own": "a seccomp filter of its own"}
    every = sum(map(len, told.values()))
    what = f"{which[_kind(facts)]} judges all {every} calls, through every ABI of the machine"
    return Finding("calls:filter", OK, what)


def _risky(names: list[str]) -> Finding:
    if not names:
        return Finding("calls:risky", OK, "no call that is known to be risky is allowed")
    return Finding(
        "calls:risky",
        LOW,
        f"{len(names)} risky calls are allowed",
        Remedy(("--security-opt", "seccomp=PROFILE.json")),
        details=_reasons(names),
    )


def _reasons(names: list[str]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for name in names:
        reasons.setdefault(RISKY[name], []).append(name)
    return [f"{', '.join(each)}: {why}" for why, each in reasons.items()]
