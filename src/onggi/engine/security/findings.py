"""What is said of a container: findings, in sections, in a report.

How bad a finding is:

    high     it opens the host: its files, processes, devices or kernel
    medium   a wall less, or a way to disturb the host and who else is on it
    low      more than most programs need; it stays within the container
    ok       looked at, and closed
"""

from __future__ import annotations

import shlex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    Json = dict[str, Any]

HIGH, MEDIUM, LOW, OK = SEVERITIES = ("high", "medium", "low", "ok")


class Remedy:
    """What closes a finding: words to add to `onggi run`, and words to leave out."""

    __slots__ = ("option", "without")

    def __init__(self, option: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        self.option = tuple(option)
        self.without = tuple(without)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remedy) and (self.option, self.without) == (
            other.option,
            other.without,
        )

    def __hash__(self) -> int:
        return hash((self.option, self.without))

    def __repr__(self) -> str:
        return f"Remedy({self.option!r}, {self.without!r})"


NOTHING = Remedy()


class Finding:
    """One thing that a container could do, or that is closed.

    `name` is the same for the same thing in every report. `details` are examples, or parts of it.
    """

    __slots__ = ("details", "name", "remedy", "severity", "what")

    def __init__(
        self,
        name: str,
        severity: str,
        what: str,
        remedy: Remedy = NOTHING,
        *,
        details: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.severity = severity
        self.what = what
        self.remedy = remedy
        self.details = tuple(details)

    def __repr__(self) -> str:
        return f"<{self.severity} finding {self.name!r}>"

    def to_json(self, area: str) -> Json:
        """Return it as a document; `Option` and `Without` are what closes it, as a shell reads it.

        Both are empty where no option could.
        """
        return {
            "Area": area,
            "Name": self.name,
            "Severity": self.severity,
            "What": self.what,
            "Details": list(self.details),
            "Option": shlex.join(self.remedy.option),
            "Without": shlex.join(self.remedy.without),
        }


class Section:
    """What was looked at together: plain facts in `lines` and `facts`, and what they mean.

    `lines` are for people, (label, value); `facts` is the same whole, for programs.
    """

    __slots__ = ("facts", "findings", "key", "lines", "title")

    def __init__(
        self,
        key: str,
        title: str,
        *,
        findings: Sequence[Finding],
        lines: Sequence[tuple[str, str]] = (),
        facts: Any = None,
    ) -> None:
        self.key = key
        self.title = title
        self.findings = tuple(findings)
        self.lines = tuple(lines)
        self.facts = facts


class Report:
    """All of it. `basis` is "kernel" for a container that runs, "plan" for any other subject."""

    __slots__ = ("basis", "id", "image", "kind", "name", "pid", "sections", "status")

    def __init__(
        self,
        *,
        kind: str,
        name: str,
        id: str,  # noqa: A002  the name that it has everywhere
        image: str,
        status: str,
        pid: int,
        sections: Sequence[Section],
    ) -> None:
        self.kind = kind  # "container" or "image"
        self.name = name
        self.id = id
        self.image = image
        self.status = status  # the container's, "" for an image
        self.pid = pid
        self.basis = "kernel" if pid else "plan"
        self.sections = tuple(sections)

    @property
    def findings(self) -> list[Finding]:
        """Every finding, in the sections' order."""
        return [finding for section in self.sections for finding in section.findings]

    def count(self, severity: str) -> int:
        """Tell how many findings are that bad."""
        return sum(finding.severity == severity for finding in self.findings)

    def is_at_least(self, severity: str) -> bool:
        """Tell whether any finding is that bad, or worse."""
        worst = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return any(finding.severity in worst for finding in self.findings)

    def to_json(self) -> Json:
        """Return the whole report as a document."""
        return {
            "Kind": self.kind,
            "Name": self.name,
            "Id": self.id,
            "Image": self.image,
            "Status": self.status,
            "Pid": self.pid,
            "Basis": self.basis,
            "Summary": {severity: self.count(severity) for severity in SEVERITIES},
            "Findings": [
                finding.to_json(section.key)
                for section in self.sections
                for finding in section.findings
            ],
            "Facts": {section.key: section.facts for section in self.sections},
        }
