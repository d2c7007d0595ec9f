"""A report on what a container could do, as people read it.

All that is not ours, names and paths among it, is spelled so that it stays in its line and no
terminal obeys it; so colours can be told from it.
"""

from __future__ import annotations

import shlex
import textwrap

from onggi.engine.security.findings import OK, SEVERITIES, Finding
from onggi.linux.control_characters import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from onggi.engine.security.findings import Remedy, Report, Section

WIDTH = 100
_INDENT = "  "
_COLUMN = len(_INDENT) + len("medium") + 2
_COLOURS = {"high": "1;31", "medium": "33", "low": "36", "ok": "32"}
_BLANK = "\xa0"  # stands for one at which no line is broken


def lines(report: Report, *, colour: bool) -> Iterator[str]:
    """Yield the report's lines. Args: colour: severities are coloured, for a terminal."""
    yield _heading(report)
    yield ""
    counts = [f"{report.count(one)} {_painted(one, one, colour)}" for one in SEVERITIES]
    yield _INDENT + "   ".join(counts)
    for section in report.sections:
        yield ""
        yield _painted(section.title, "", colour)
        yield from _section(section, colour)
    yield from _summary(report)


def _heading(report: Report) -> str:
    name = one_line(report.name)
    if report.kind == "image":
        return f"{name}: what a container of this image would be"
    of = f"{name}, a container of {one_line(report.image)}"
    if report.pid:
        return f"{of}, as the kernel sees it (process {report.pid})"
    return f"{of}, as it was made: it does not run ({report.status})"


def _painted(text: str, severity: str, colour: bool) -> str:
    return f"\x1b[{_COLOURS.get(severity, '1')}m{text}\x1b[0m" if colour else text


def _section(section: Section, colour: bool) -> Iterator[str]:
    label = max((len(one) for one, _ in section.lines), default=0) + 2
    for name, value in section.lines:
        yield from _wrapped(f"{_INDENT}{one_line(name).ljust(label)}", one_line(value))
    findings = _in_order(section)
    for finding, following in zip(findings, [*findings[1:], None], strict=True):
        yield from _finding(finding, colour)
        if finding.severity != OK and not _is_closed_alike(finding, following):
            yield from _wrapped(" " * _COLUMN, f"→ {one_line(_said(finding.remedy))}")


def _in_order(section: Section) -> list[Finding]:
    """Put the worst first, and together what the same closes; join what is well and short."""
    remedies = list(dict.fromkeys(one.remedy for one in section.findings))
    found = sorted(
        section.findings,
        key=lambda one: (SEVERITIES.index(one.severity), remedies.index(one.remedy)),
    )
    if section.key != "capabilities":
        return found
    fine = [one for one in found if one.severity == OK and ": " in one.what]
    names = ", ".join(one.what.partition(":")[0] for one in fine)
    joined = [Finding("", OK, f"of use within the container alone: {names}")] if fine else []
    return [one for one in found if one not in fine] + joined


def _is_closed_alike(finding: Finding, following: Finding | None) -> bool:
    """Tell whether the next one's remedy is the same: then it is said once, after both."""
    if following is None or following.severity != finding.severity:
        return False
    return following.remedy == finding.remedy


def _finding(finding: Finding, colour: bool) -> Iterator[str]:
    first, *more = _wrapped(" " * _COLUMN, one_line(finding.what))
    mark = _painted(finding.severity, finding.severity, colour)
    yield _INDENT + mark + first[len(_INDENT) + len(finding.severity) :]
    yield from more
    details = [one_line(each) for each in finding.details]
    if not any(": " in each for each in details):
        details = [", ".join(details)] if details else []
    for detail in details:
        yield from _wrapped(" " * (_COLUMN + 2), detail)


def _said(remedy: Remedy) -> str:
    """Say what closes a finding."""
    parts = []
    if remedy.without:
        parts.append(f"leave out {shlex.join(remedy.without)}")
    if remedy.option:
        parts.append(f"add {shlex.join(remedy.option)}" if parts else shlex.join(remedy.option))
    return ", ".join(parts) or "no option closes it"


def _wrapped(start: str, text: str) -> list[str]:
    """Break a line where it is too long; what follows is set in as far as `start` is long."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
        break_long_words=False,
    ) or [start.rstrip()]


def _summary(report: Report) -> Iterator[str]:
    """Say what closes all that can be closed, at once."""
    remedies = [one.remedy for one in report.findings if one.severity != OK]
    left_out = {one.without for one in remedies if not one.option}
    without = _once([one.without for one in remedies])
    option = _once([one.option for one in remedies if not _is_moot(one, left_out)])
    if without or option:
        yield ""
        yield "To close all of this"
    if without:
        yield from _together(f"{_INDENT}leave out  ", without)
    if option:
        yield from _together(f"{_INDENT}add        ", option)


def _is_moot(remedy: Remedy, left_out: set[tuple[str, ...]]) -> bool:
    """Tell whether its option cannot be added as it is, or is about a mount that is left out."""
    is_mount = remedy.option[:1] in (("--volume",), ("--mount",))
    return "seccomp=PROFILE.json" in remedy.option or (is_mount and remedy.without in left_out)


def _once(words: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(each for each in words if each))


def _together(start: str, options: list[tuple[str, ...]]) -> list[str]:
    """Write options in a row, and break lines only between them."""
    words = [one_line(shlex.join(each)).replace(" ", _BLANK) for each in options]
    return [line.replace(_BLANK, " ") for line in _wrapped(start, " ".join(words))]
