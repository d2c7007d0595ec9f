"""Which namespaces are the container's own, and with whom it shares the others.

Source: namespaces(7).
"""

from __future__ import annotations

from onggi.engine.security.facts import HOST, OWN
from onggi.engine.security.findings import HIGH, MEDIUM, OK, Finding, Remedy, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.security.facts import Facts

# What it means to share one with the host. Whether users are shared is told apart: see `rights`.
_MEANINGS = {
    "pid": (HIGH, "it sees the host's processes, and may signal and trace those of its user"),
    "mount": (HIGH, "it sees the host's mounts, and changes them"),
    "network": (MEDIUM, "it reaches what listens on the host's loopback, and abstract sockets"),
    "ipc": (MEDIUM, "it reaches the host's System V objects and message queues"),
    "uts": (MEDIUM, "it may rename the host"),
    "cgroup": (MEDIUM, "it sees the host's control groups"),
    "time": (MEDIUM, "it has the host's clock offsets"),
}
_WITH_OTHERS = "what one of them may do there, all may"
_REMEDIES = {"network": Remedy(("--network", "none"))}


def examine(facts: Facts) -> Section:
    """Say of each kind of namespace whose it is."""
    kinds = {kind: whose for kind, whose in facts.namespaces.items() if kind != "user"}
    findings = [_finding(facts, kind, whose) for kind, whose in kinds.items() if whose != OWN]
    own = [kind for kind, whose in kinds.items() if whose == OWN]
    if own:
        findings.append(Finding("namespace:own", OK, f"of its own: {', '.join(own)}"))
    return Section(
        "namespaces", "Namespaces", findings=findings, facts=dict(sorted(facts.namespaces.items()))
    )


def _finding(facts: Facts, kind: str, whose: str) -> Finding:
    severity, why = _MEANINGS[kind]
    if whose != HOST:
        return Finding(f"namespace:{kind}", MEDIUM, f"{kind} {whose}: {_WITH_OTHERS}")
    if facts.own_users and severity == HIGH:
        severity = MEDIUM
    what = f"the host's {kind} namespace: {why}"
    return Finding(f"namespace:{kind}", severity, what, _REMEDIES.get(kind, Remedy()))
