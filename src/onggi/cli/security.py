"""`onggi security`."""

from __future__ import annotations

import os
import sys

from onggi.cli import run
from onggi.cli.careful import beneath
from onggi.cli.inspect import NoSuchObject
from onggi.cli.options import Command, Given, Section, Text, UsageError, bad_value
from onggi.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onggi.cli.invocation import Invocation
    from onggi.engine.security.findings import Report

OWN = Section(
    "Options",
    Text("format", "", "FORMAT", 'Print as "json", or a template'),
    Text(
        "fail-on", "", "SEVERITY", 'Exit with 1 if anything is "high", "medium" or "low", or worse'
    ),
    Text("type", "", "TYPE", 'Look only for a "container" or an "image"'),
)
_RUN = (run.PROCESS, run.FILES, run.ISOLATION, run.RESOURCES)
COMMAND = Command(
    arguments="IMAGE|CONTAINER [COMMAND] [ARG...]",
    least=1,
    most=None,
    interspersed=False,
    docker="run",
    description="Reports what a container could do: whom its users are on the host, capabilities, "
    "system calls, the kernel's files, namespaces, devices, the host's files, programs with "
    "rights of their own, limits, secrets in its environment. Each finding is high, medium, low or "
    "ok, and comes with the option of `onggi run` that closes it, if there is one.\n\n"
    "Of a container that runs, the kernel is asked, from outside: nothing is executed in it. Of an "
    "image it is told what a container of it would be, and nothing is made. All options of "
    "`onggi run` are taken: put `security` in the place of `run`, and read what that would be.\n\n"
    "What is high opens the host: its files, processes, devices or kernel. What is medium is a "
    "wall less, or a way to disturb the host and who else is on it. What is low is more than most "
    "programs need, and stays within the container. What is ok was looked at, and is closed.",
    sections=(OWN, *(Section("", *section.options) for section in _RUN)),
    examples=(
        ("onggi security web", "what a container that runs could do"),
        ("onggi security --privileged busybox", "what it would be able to do"),
        ("onggi security --fail-on high --read-only guestbook", "for a test: 1 if it is too much"),
        ("onggi security --format '{{.Summary.high}}' web", "one number"),
    ),
)

_FAILURES = ("high", "medium", "low")
_TYPES = ("container", "image")


def execute(given: Given, invocation: Invocation) -> int:
    """Print the report; return 1 if there is a finding of the kind that shall fail."""
    limit, kind = _one_of(given, "fail-on", _FAILURES), _one_of(given, "type", _TYPES)
    report = _report(given, invocation, kind)
    style = given.text("format")
    if style:
        _print_as(style, report)
    else:
        _print(report)
    return 1 if limit and report.is_at_least(limit) else 0


def _one_of(given: Given, name: str, words: tuple[str, ...]) -> str:
    word = given.text(name) or ""
    if word and word not in words:
        raise bad_value(f"--{name}", word, f"one of {', '.join(words)}")
    return word


def _report(given: Given, invocation: Invocation, kind: str) -> Report:
    """Look at a container of that name, or else at what one of an image would be."""
    name, *command = given.arguments
    asks = bool(command) or _has_options_of_run(given)
    if kind == "container" and asks:
        raise UsageError("a container is what it is", hint="options of `run` are for images")
    if kind != "image" and not asks:
        try:
            return invocation.engine.containers.get(name).security()
        except NotFound:
            if kind == "container":
                raise
    try:
        return invocation.engine.security(run.container_options(given, detach=given.on("detach")))
    except NotFound as error:
        if kind or asks:
            raise
        raise NoSuchObject(name) from error


def _has_options_of_run(given: Given) -> bool:
    plain = Given(COMMAND.options())
    names = {option.name for section in _RUN for option in section.options}
    kinds = ("switches", "words", "lists", "numbers")
    return any(
        name in names and getattr(plain, kind)[name] != value
        for kind in kinds
        for name, value in getattr(given, kind).items()
    )


def _print_as(style: str, report: Report) -> None:
    from onggi.cli.output.template import Template, to_json

    document = report.to_json()
    print(to_json(document) if style == "json" else Template(style).render(document))


def _print(report: Report) -> None:
    """Print it for people; the escapes of colours are ours, all other text is spelled."""
    from onggi.cli.output import findings

    is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    lines = findings.lines(report, colour=is_coloured)
    beneath(sys.stdout).write("".join(f"{line}\n" for line in lines))
