"""Which device files there are inside, and which its device rules let it open.

Source: kernel Documentation/admin-guide/devices.txt.
"""

from __future__ import annotations

from onggi.engine.security import remedies
from onggi.engine.security.device_files import allowed
from onggi.engine.security.findings import HIGH, LOW, MEDIUM, OK, Finding, Section
from onggi.linux.device import UNIX98_PTY_SLAVE_MAJORS
from onggi.resources.devices import DEFAULT_RULES, parse_rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from onggi.engine.security.facts import Facts, Node
    from onggi.engine.security.findings import Remedy
    from onggi.resources.devices import Rule

# (kind, major, minor) -> what it is; a minor of -1 is any.
_MEANINGS: dict[tuple[str, int, int], tuple[str, str]] = {
    ("c", 1, 1): (HIGH, "the host's memory"),
    ("c", 1, 2): (HIGH, "the kernel's memory"),
    ("c", 1, 4): (HIGH, "the host's I/O ports"),
    ("c", 1, 11): (MEDIUM, "the kernel's messages"),
    ("c", 4, -1): (HIGH, "a terminal of the host's"),
    ("c", 5, 1): (HIGH, "the host's console"),
    ("c", 10, 130): (HIGH, "the watchdog, which restarts the host"),
    ("c", 10, 200): (LOW, "network interfaces of its own making"),
    ("c", 10, 229): (LOW, "file systems of its own making"),
    ("c", 10, 232): (LOW, "virtual machines"),
    ("c", 10, 237): (HIGH, "loop devices: files as disks"),
    ("c", 202, -1): (HIGH, "the processors' registers"),
    ("c", 226, -1): (LOW, "graphics"),
    ("c", 116, -1): (LOW, "sound"),
}
_DISK = (HIGH, "a disk of the host's, past its file systems")
_UNKNOWN = (MEDIUM, "a device of the host's")
_MOST = 8


def examine(facts: Facts) -> Section:
    """Say which devices can be used beside those that every container has."""
    usable = [(node, access) for node, access in _access(facts) if set("rw") & set(access)]
    groups: dict[tuple[str, str, Remedy], list[str]] = {}
    for node, access in usable:
        if not _is_usual(node):
            severity, what = _meaning(node)
            key = severity, what, remedies.devices(facts.options, node.path)
            groups.setdefault(key, []).append(f"{node.path} ({access.replace('m', '')})")
    findings = [_finding(*group, paths) for group, paths in groups.items()]
    findings.append(_rules(facts))
    return Section(
        "devices",
        "Devices",
        findings=findings,
        lines=[("usable", " ".join(node.path.removeprefix("/dev/") for node, _ in usable[:_MOST]))]
        if len(usable) <= _MOST
        else [("usable", f"{len(usable)} device files")],
        facts={
            "Nodes": [
                {
                    "Path": node.path,
                    "Type": node.kind,
                    "Major": node.major,
                    "Minor": node.minor,
                    "Allowed": access,
                }
                for node, access in _access(facts)
            ],
            "Rules": [rule.line() for rule in facts.devices if rule.allow],
        },
    )


def _access(facts: Facts) -> Iterator[tuple[Node, str]]:
    for node in facts.nodes:
        yield node, allowed(facts.devices, node)


def _usual() -> list[Rule]:
    return parse_rules(DEFAULT_RULES)


def _is_usual(node: Node) -> bool:
    if node.kind == "c" and node.major in UNIX98_PTY_SLAVE_MAJORS:
        return True
    return set("rw") <= set(allowed(_usual(), node))


def _meaning(node: Node) -> tuple[str, str]:
    if node.kind == "b":
        return _DISK
    for minor in (node.minor, -1):
        if (node.kind, node.major, minor) in _MEANINGS:
            return _MEANINGS[node.kind, node.major, minor]
    return _UNKNOWN


def _finding(severity: str, what: str, remedy: Remedy, paths: list[str]) -> Finding:
    first = paths[0].split(" ")[0]
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    rest = len(paths) - _MOST
    return Finding(
        f"device:{first}",
        severity,
        f"{first}{more}: {what}",
        remedy,
        details=[*paths[:_MOST], *([f"and {rest} more"] if rest > 0 else [])]
        if len(paths) > 1
        else (),
    )


def _rules(facts: Facts) -> Finding:
    """Say whether any device can be opened, once somebody makes a file for it."""
    if facts.own_users:
        what = "no device file can be made by who is not the host's root"
        return Finding("devices:rules", OK, what)
    wide = [
        rule
        for rule in facts.devices
        if rule.allow and rule.major is None and set("rw") & set(rule.access)
    ]
    if wide:
        what = "the device rules allow every device; a file for it can be made with MKNOD"
        return Finding("devices:rules", HIGH, what, remedies.devices(facts.options, ""))
    what = "the device rules allow no other, whatever files are made"
    return Finding("devices:rules", OK, what)
