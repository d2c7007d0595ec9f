"""Environment variables whose names say that they are secret. Their values are shown nowhere."""

from __future__ import annotations

from onggi.engine.security.findings import LOW, OK, Finding, Remedy, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.engine.security.facts import Facts

_WORDS = ("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS")
_PAIRS = (("API", "KEY"), ("ACCESS", "KEY"), ("PRIVATE", "KEY"), ("AUTH", "KEY"))


def examine(facts: Facts) -> Section:
    """Say which variables look like secrets."""
    names = [name for name, value in _variables(facts) if value and looks_secret(name)]
    findings = [_finding(name) for name in names]
    if not names:
        findings = [Finding("environment", OK, "no variable is named like a secret")]
    return Section("environment", "Environment", findings=findings, facts={"Secrets": names})


def _variables(facts: Facts) -> list[tuple[str, str]]:
    pairs = (entry.partition("=") for entry in facts.record["config"]["process"]["env"])
    return [(name, value) for name, _, value in pairs]


def looks_secret(name: str) -> bool:
    """Tell whether a variable's name says that its value is secret, not where a secret lies."""
    words = name.upper().replace("-", "_").split("_")
    if words[-1] in ("FILE", "PATH", "DIR"):
        return False
    return bool(set(words) & set(_WORDS)) or any(set(pair) <= set(words) for pair in _PAIRS)


def _finding(name: str) -> Finding:
    what = (
        f"{name} looks like a secret: every process inside can read it, and the record holds it; "
        f"mount a file instead"
    )
    return Finding(f"environment:{name}", LOW, what, Remedy(("--env", f"{name}=")))
