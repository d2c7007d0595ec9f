"""The kernel's files that a container may write to: found by walking what it sees of them."""

from __future__ import annotations

import errno
import os
import stat

from onggi.engine.security import network_view, remedies
from onggi.engine.security.access import may_write, namespace_of
from onggi.engine.security.facts import HOST, OWN
from onggi.engine.security.findings import HIGH, LOW, MEDIUM, OK, SEVERITIES, Finding, Section
from onggi.linux.capability import NUMBERS
from onggi.linux.fd import Fd
from onggi.linux.path import (
    O_DIRECTORY,
    O_NOFOLLOW,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
    reopen,
)
from onggi.runtime.spec import MASKED_PATHS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from onggi.engine.security.facts import Facts, Json, Visible
    from onggi.engine.security.findings import Remedy

CGROUPS = ("cgroup", "cgroup2")
KERNELS = (
    *("proc", "sysfs", *CGROUPS, "debugfs", "tracefs", "securityfs", "configfs", "efivarfs"),
    *("pstore", "bpf", "binfmt_misc", "fusectl", "selinuxfs", "smackfs", "resctrl"),
)
_BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
# Gone meanwhile, a mount, or nothing that even the host's root may look at.
_CLOSED = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.EXDEV, errno.EACCES, errno.EPERM)
_EXAMPLES = 3
# What attacks of other days wrote to; these are told of first.
_NOTABLE = (
    *("core_pattern", "modprobe", "uevent_helper", "sysrq", "sysrq-trigger", "release_agent"),
    *("register", "panic", "randomize_va_space", "ip_forward", "memory.limit_in_bytes"),
)

# File system, beginning of a path in it -> how bad it is to write there, why, and the capability
# that the kernel asks for when something is written, beside the right to open it. The first that
# fits counts. Sources: proc_sys_kernel(5), core(5), proc_sysrq-trigger(5), sysfs(5), cgroups(7);
# kernel/pid_namespace.c; kernel/sched/psi.c.
_MEANINGS: tuple[tuple[str, str, str, str, str], ...] = (
    ("proc", "/sys/net", LOW, "parameters of its network", ""),
    ("proc", "/sys/user", LOW, "bounds of its user namespace", ""),
    ("proc", "/sys/kernel/ns_last_pid", LOW, "its next process ID", "CAP_CHECKPOINT_RESTORE"),
    ("proc", "/sys/kernel", HIGH, "core_pattern names a program that the host's root executes", ""),
    ("proc", "/sys/fs", HIGH, "how the host's files are opened, linked and executed", ""),
    ("proc", "/sys/vm", HIGH, "how the host's memory is shared out", ""),
    ("proc", "/sys", HIGH, "parameters of the host's kernel", ""),
    ("proc", "/sysrq-trigger", HIGH, "one letter halts or restarts the host", ""),
    ("proc", "/pressure", OK, "asks to be told when the host is short, and changes nothing", ""),
    ("proc", "/mtrr", HIGH, "how the host's processors cache memory", ""),
    ("proc", "", MEDIUM, "settings of the host's kernel and its drivers", ""),
    ("sysfs", "/kernel", HIGH, "the host's kernel", ""),
    ("sysfs", "/module", HIGH, "parameters of what the host's kernel has loaded", ""),
    ("sysfs", "/firmware", HIGH, "the machine's firmware", ""),
    ("sysfs", "/power", HIGH, "the machine's sleep", ""),
    ("sysfs", "/fs", HIGH, "the host's file systems", ""),
    ("sysfs", "", HIGH, "the host's devices and their drivers", ""),
)
_OWN_GROUPS = (MEDIUM, "its control groups: it may lift its own limits")
_ALL_GROUPS = (HIGH, "the host's control groups: it may lift its limits, and set anybody's")
_ANYTHING = (HIGH, "the host's kernel")
_IN_VAIN = "what is written is refused without {}"


def examine(facts: Facts) -> Section:
    """Say which of the kernel's files can be written to, and which should be hidden."""
    written = network_view.seen_from(facts.network_path, lambda: list(_writable(facts)))
    findings = _findings(facts, written)
    if not written:
        what = "none can be opened for writing, in /proc, /sys and their like"
        findings.append(Finding("kernel-files:writable", OK, what))
    findings.append(_hidden(facts))
    paths = sorted(path for _, path in written)
    shown = sorted(set(MASKED_PATHS) - facts.masked)
    return Section(
        "kernel-files",
        "Kernel files",
        findings=findings,
        lines=[("open for writing", f"{len(paths)} files" if paths else "none")],
        facts={"Writable": paths, "Unmasked": shown},
    )


def _findings(facts: Facts, written: list[tuple[Visible, str]]) -> list[Finding]:
    """Tell of files together by where they are: as bad as the worst of them."""
    groups: dict[str, list[tuple[int, str, str]]] = {}
    for mount, path in written:
        shown, severity, why = _group(facts, mount, path)
        groups.setdefault(shown, []).append((SEVERITIES.index(severity), why, path))
    found = []
    for shown in sorted(groups):
        rank, why, _ = min(groups[shown])
        paths = [path for _, _, path in groups[shown]]
        found.append(_finding(facts, shown, SEVERITIES[rank], why, paths))
    return found


def _writable(facts: Facts) -> Iterator[tuple[Visible, str]]:
    """Yield (mount, path inside) of each file that may be opened for writing."""
    own = frozenset(kind for kind, whose in facts.namespaces.items() if whose == OWN)
    places = {mount.path for mount in facts.mounts}
    for mount in _topmost(facts.mounts):
        if mount.fstype not in KERNELS or mount.read_only:
            continue
        for path, relative, status in _files(mount, places - {mount.path}):
            inner = f"{mount.root.rstrip('/')}{relative}" or "/"
            if may_write(facts.credentials, mount.fstype, inner, status, own=own):
                yield mount, path
    if not facts.pid:
        yield from _own_cgroups(facts)


def _topmost(mounts: list[Visible]) -> list[Visible]:
    """Leave out what another mount at the same place covers."""
    return list({mount.path: mount for mount in mounts}.values())


def _own_cgroups(facts: Facts) -> Iterator[tuple[Visible, str]]:
    """Yield the directory of control groups that are not made yet, if it would be writable."""
    for mount in facts.mounts:
        is_own = mount.fstype in CGROUPS and mount.path == "/sys/fs/cgroup"
        if is_own and not mount.read_only and facts.credentials.uid == 0:
            yield mount, mount.path


def _files(mount: Visible, covered: set[str]) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield (path inside, path from the mount's root, status) of what lies on one mount."""
    top = mount.open()
    if top < 0:
        return
    with Fd(top) as root:
        if not stat.S_ISDIR(os.fstat(root.fileno()).st_mode):
            yield mount.path, "", os.fstat(root.fileno())
            return
        pending = [""]
        while pending:
            relative = pending.pop()
            for name, status in _entries(root, relative):
                below = f"{relative}/{name}"
                path = f"{mount.path.rstrip('/')}{below}"
                if path in covered or _is_process(mount, below):
                    continue
                if not stat.S_ISDIR(status.st_mode):
                    yield path, below, status
                elif mount.fstype not in CGROUPS:  # what is below its own group, it has made
                    pending.append(below)


def _is_process(mount: Visible, relative: str) -> bool:
    """Tell whether it is a process' directory, which is that process' own affair."""
    return mount.fstype == "proc" and relative.count("/") == 1 and relative[1:].isdigit()


def _entries(root: Fd, relative: str) -> list[tuple[str, os.stat_result]]:
    """Return what a directory holds, in order; nothing where another file system begins."""
    try:
        directory = Fd(_directory(root, relative))
    except OSError as error:
        if error.errno in _CLOSED:
            return []
        raise
    with directory:
        names = sorted(os.listdir(directory.fileno()))
        found = [(name, _status(directory, name)) for name in names]
    return [(name, status) for name, status in found if status is not None]


def _directory(root: Fd, relative: str) -> int:
    if not relative:
        return reopen(root, os.O_RDONLY | O_DIRECTORY)
    return openat2(root, relative[1:], os.O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, _BELOW)


def _status(directory: Fd, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory.fileno(), follow_symlinks=False)
    except OSError as error:
        if error.errno in _CLOSED:
            return None
        raise


def _group(facts: Facts, mount: Visible, path: str) -> tuple[str, str, str]:
    """Return under which path a file is told of, how bad it is, and why."""
    asked_for = _mount_of(facts, path) is not None
    if mount.fstype in CGROUPS:
        before, place, _ = mount.path.partition("/fs/cgroup")
        return before + place, *(_ALL_GROUPS if asked_for else _OWN_GROUPS)
    inner = mount.root.rstrip("/") + path[len(mount.path.rstrip("/")) :]
    severity, why, beginning = _meaning(facts, mount.fstype, inner)
    if asked_for:
        return mount.path, severity, why
    depth = max(2 if inner.startswith("/sys/") else 1, beginning.count("/"))
    return _shortened(mount, path, inner, depth), severity, why


def _shortened(mount: Visible, path: str, inner: str, depth: int) -> str:
    """Cut a path behind so many names of its file system, but never before the mount's place."""
    spare = max(inner.count("/") - depth, 0)
    shown = path.rsplit("/", spare)[0] if spare else path
    return max(shown, mount.path, key=len)


def _meaning(facts: Facts, fstype: str, inner: str) -> tuple[str, str, str]:
    for kind, beginning, severity, why, needed in _MEANINGS:
        if kind != fstype or not f"{inner}/".startswith(f"{beginning}/"):
            continue
        if needed and not facts.credentials.reach >> NUMBERS[needed] & 1:
            return OK, _IN_VAIN.format(needed.removeprefix("CAP_")), beginning
        if beginning == "/sys/net" and facts.namespaces.get("network") == HOST:
            severity, why = MEDIUM, "parameters of the host's network"
        if fstype == "proc" and _is_of_own(facts, inner):
            severity, why = LOW, "parameters of its own namespaces"
        lessened = facts.own_users and severity == HIGH
        return MEDIUM if lessened else severity, why, beginning
    return *_ANYTHING, ""


def _is_of_own(facts: Facts, inner: str) -> bool:
    """Tell whether a parameter is one of IPC or process IDs that are the container's own."""
    kind = namespace_of(inner.removeprefix("/sys/").replace("/", "."))
    return kind in ("ipc", "pid") and facts.namespaces.get(kind) == OWN


def _finding(facts: Facts, shown: str, severity: str, why: str, paths: list[str]) -> Finding:
    paths = sorted(paths, key=_by_interest)
    rest = len(paths) - _EXAMPLES
    details = [*paths[:_EXAMPLES], *([f"and {rest} more"] if rest > 0 else [])]
    return Finding(
        f"kernel-files:{shown}",
        severity,
        f"{shown} can be opened for writing: {why}",
        _remedy(facts, shown),
        details=() if paths == [shown] else details,
    )


def _by_interest(path: str) -> tuple[bool, int, str]:
    return path.rpartition("/")[2] not in _NOTABLE, path.count("/"), path


def _remedy(facts: Facts, path: str) -> Remedy:
    """Return what closes it: leaving out the mount that was asked for, or what opened all of it."""
    mount = _mount_of(facts, path)
    if mount is not None:
        return remedies.mount(facts.options, mount["Destination"])
    return remedies.kernel_files(facts.options)


def _mount_of(facts: Facts, path: str) -> Json | None:
    """Return the mount that was asked for through which a path is seen, if it is one."""
    for mount in facts.record["mounts"]:
        if f"{path}/".startswith(f"{mount['Destination'].rstrip('/')}/"):
            found: Json = mount
            return found
    return None


def _hidden(facts: Facts) -> Finding:
    shown = sorted(set(MASKED_PATHS) - facts.masked)
    if not shown:
        what = "memory, keys, timers and firmware of the host are hidden"
        return Finding("kernel-files:unmasked", OK, what)
    return Finding(
        "kernel-files:unmasked",
        LOW if facts.own_users else MEDIUM,
        "files that tell of the host and its memory are to be seen",
        remedies.kernel_files(facts.options),
        details=shown,
    )
