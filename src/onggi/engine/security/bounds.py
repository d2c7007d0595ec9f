"""What the container may use up, and what bounds it."""

from __future__ import annotations

from onggi.engine.security.findings import LOW, MEDIUM, OK, Finding, Remedy, Section
from onggi.runtime import log
from onggi.runtime.spec import PIDS_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.security.facts import Facts

_MEBI = 1 << 20
_LOG_BYTES = (log.OLDER_FILES + 1) * log.MOST_BYTES


def examine(facts: Facts) -> Section:
    """Say what is bounded, and what is not."""
    limits = facts.limits
    return Section(
        "bounds",
        "Limits",
        findings=[_pids(facts), _memory(facts), _cpus(facts), _score(facts), _log()],
        facts={
            "Pids": limits.pids,
            "Memory": limits.memory,
            "Cpus": limits.cpus,
            "OomScoreAdj": limits.oom_score_adj,
            "LogBytes": _LOG_BYTES,
        },
    )


def _pids(facts: Facts) -> Finding:
    if facts.limits.pids is not None:
        return Finding("bounds:pids", OK, f"at most {facts.limits.pids} processes and threads")
    what = "any number of processes: it can leave the host none"
    return _unbounded(facts, "pids", MEDIUM, what, "--pids-limit", str(PIDS_LIMIT))


def _memory(facts: Facts) -> Finding:
    if facts.limits.memory is not None:
        return Finding("bounds:memory", OK, f"at most {facts.limits.memory // _MEBI} MiB of memory")
    what = "any amount of memory: it can take the host's, and others are killed for it"
    return _unbounded(facts, "memory", MEDIUM, what, "--memory", "512m")


def _cpus(facts: Facts) -> Finding:
    if facts.limits.cpus is not None:
        what = f"at most {facts.limits.cpus:g} processors' worth of time"
        return Finding("bounds:cpus", OK, what)
    return _unbounded(facts, "cpus", LOW, "as much processor time as is free", "--cpus", "1")


def _unbounded(facts: Facts, name: str, severity: str, what: str, *option: str) -> Finding:
    """Name the option that bounds it, unless it would be refused to this user."""
    controller = "cpu" if name == "cpus" else name
    if facts.rootless and controller not in facts.controllers:
        lacking = f"a limit takes the {controller} controller, which was not delegated to this user"
        return Finding(f"bounds:{name}", severity, f"{what}; {lacking}")
    return Finding(f"bounds:{name}", severity, what, Remedy(option))


def _score(facts: Facts) -> Finding:
    score = facts.limits.oom_score_adj
    if score >= 0:
        what = "killed no later than others when memory runs out"
        return Finding("bounds:oom-score", OK, what)
    what = f"others are killed before it when memory runs out (score {score})"
    return Finding("bounds:oom-score", MEDIUM, what, Remedy(("--oom-score-adj", "0")))


def _log() -> Finding:
    what = f"its log takes at most {_LOG_BYTES // _MEBI} MiB; what is older goes"
    return Finding("bounds:log", OK, what)
