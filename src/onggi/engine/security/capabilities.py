"""The five capability sets, and what each capability lets a program do.

Source: capabilities(7).
"""

from __future__ import annotations

from onggi.engine.security import remedies
from onggi.engine.security.findings import HIGH, LOW, MEDIUM, OK, SEVERITIES, Finding, Section
from onggi.linux import capability
from onggi.runtime.capabilities import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.security.facts import Facts

ORDER = ("bounding", "permitted", "effective", "inheritable", "ambient")

# How bad it is where root is the host's root, and what it is for.
MEANINGS = {
    "CHOWN": (OK, "give files to any user"),
    "DAC_OVERRIDE": (LOW, "read and write any file that it sees, whatever the permissions"),
    "DAC_READ_SEARCH": (HIGH, "open any file of the host's disks by its handle"),
    "FOWNER": (OK, "change modes and times of anybody's files"),
    "FSETID": (OK, "keep set-user-ID bits on files that it changes"),
    "KILL": (OK, "signal any process of the container"),
    "SETGID": (OK, "be any group"),
    "SETUID": (OK, "be any user"),
    "SETPCAP": (OK, "give up capabilities of its bounding set"),
    "LINUX_IMMUTABLE": (LOW, "make files that nobody can change or remove"),
    "NET_BIND_SERVICE": (OK, "listen on ports below 1024"),
    "NET_BROADCAST": (OK, "nothing: the kernel does not ask for it"),
    "NET_ADMIN": (LOW, "set up its network: addresses, routes, packet filters"),
    "NET_RAW": (LOW, "forge packets, and read those that are not for it"),
    "IPC_LOCK": (LOW, "lock memory, beyond its limits"),
    "IPC_OWNER": (LOW, "use anybody's System V objects in its IPC namespace"),
    "SYS_MODULE": (HIGH, "load code into the kernel"),
    "SYS_RAWIO": (HIGH, "use I/O ports, and write to disks and memory past the kernel"),
    "SYS_CHROOT": (LOW, "change its root directory, and enter mount namespaces"),
    "SYS_PTRACE": (MEDIUM, "read and change any process that it sees"),
    "SYS_PACCT": (MEDIUM, "have the kernel account processes into a file"),
    "SYS_ADMIN": (HIGH, "mount, make namespaces, and much of what root can"),
    "SYS_BOOT": (HIGH, "restart the host, and load another kernel"),
    "SYS_NICE": (MEDIUM, "take processor time from everybody: priorities, real time"),
    "SYS_RESOURCE": (MEDIUM, "go beyond limits: of resources, quotas, reserved disk space"),
    "SYS_TIME": (MEDIUM, "set the host's clock"),
    "SYS_TTY_CONFIG": (MEDIUM, "hang up and set up the host's terminals"),
    "MKNOD": (LOW, "make device files; the device rules say which can be opened"),
    "LEASE": (LOW, "be told before others open a file, and hold them up"),
    "AUDIT_WRITE": (LOW, "write records into the kernel's audit log"),
    "AUDIT_CONTROL": (HIGH, "turn the host's auditing off"),
    "SETFCAP": (LOW, "give capabilities to files"),
    "MAC_OVERRIDE": (HIGH, "get past the host's mandatory access control"),
    "MAC_ADMIN": (HIGH, "change the host's mandatory access control"),
    "SYSLOG": (MEDIUM, "read the kernel's messages and addresses"),
    "WAKE_ALARM": (LOW, "wake the host from its sleep"),
    "BLOCK_SUSPEND": (LOW, "keep the host from its sleep"),
    "AUDIT_READ": (MEDIUM, "read the host's audit log"),
    "PERFMON": (MEDIUM, "watch the whole host's performance, and what its programs do"),
    "BPF": (HIGH, "load programs into the kernel"),
    "CHECKPOINT_RESTORE": (MEDIUM, "choose process IDs, and look into processes' memory maps"),
}
_ON_HOST_NETWORK = {
    "NET_ADMIN": (HIGH, "set up the host's network: addresses, routes, packet filters"),
    "NET_RAW": (MEDIUM, "forge packets on the host's network, and read all that pass there"),
    "NET_BIND_SERVICE": (LOW, "listen on the host's ports below 1024"),
}
_WITH_HOST_PROCESSES = {"SYS_PTRACE": (HIGH, "read and change any process of the host")}
_OVER_ITS_OWN = "over its own users and namespaces alone"


def examine(facts: Facts) -> Section:
    """Say what each capability means that it has, or may get."""
    reach = capability.names(facts.credentials.reach)
    findings = [_finding(facts, name) for name in reach]
    if not reach:
        what = "none is held, and none can be gained"
        findings = [Finding("capability:none", OK, what)]
    sets = facts.credentials.capabilities
    return Section(
        "capabilities",
        "Capabilities",
        findings=[*findings, *_beyond(facts)],
        lines=[(name, _spelled(sets[name])) for name in ORDER],
        facts={name.capitalize(): list(_short_names(sets[name])) for name in ORDER},
    )


def _beyond(facts: Facts) -> list[Finding]:
    """Tell of processes that `exec` gave more than the first one has; it ends with them."""
    found = []
    for other in facts.others:
        names = _short_names(other.reach & ~facts.credentials.reach)
        if names:
            severity = min((_severity(facts, name) for name in names), key=SEVERITIES.index)
            what = f"process {other.pid} ({other.name}), by exec, holds more: {' '.join(names)}"
            found.append(Finding(f"capability:process:{other.pid}", severity, what))
    return found


def _severity(facts: Facts, short: str) -> str:
    severity = MEANINGS[short][0]
    if facts.own_users:
        return LOW if severity in (HIGH, MEDIUM) else OK
    return severity


def _short_names(bits: int) -> tuple[str, ...]:
    return tuple(name.removeprefix("CAP_") for name in capability.names(bits))


def _spelled(bits: int) -> str:
    names, usual = _short_names(bits), _short_names(capability.mask(DEFAULT))
    more, less = _without(names, usual), _without(usual, names)
    missing = _without(tuple(MEANINGS), names)
    if not names:
        return "none"
    if not missing:
        return f"all {len(names)}"
    if len(missing) < len(names):
        return f"all {len(MEANINGS)} but {' '.join(missing)}"
    if len(less) < len(usual) - len(less):
        but = f", but not {' '.join(less)}" if less else ""
        return f"the usual {len(usual)}{but}" + (f", and {' '.join(more)}" if more else "")
    return " ".join(names)


def _without(names: tuple[str, ...], others: tuple[str, ...]) -> list[str]:
    return [name for name in names if name not in others]


def _finding(facts: Facts, name: str) -> Finding:
    short = name.removeprefix("CAP_")
    severity, what = _severity(facts, short), MEANINGS[short][1]
    network, processes = facts.namespaces.get("network"), facts.namespaces.get("pid")
    if facts.own_users:
        what = f"{what}; {_OVER_ITS_OWN}"
    elif network == "the host's" and short in _ON_HOST_NETWORK:
        severity, what = _ON_HOST_NETWORK[short]
    elif processes == "the host's" and short in _WITH_HOST_PROCESSES:
        severity, what = _WITH_HOST_PROCESSES[short]
    return Finding(
        f"capability:{short}",
        severity,
        f"{short}: {what}",
        remedies.capability(facts.options, name),
    )
