"""Keep what a run of the tests saw, and where: the records behind the README's support table.

ONGGI_TEST_RECORD names a directory. While tests run this adds to the file of this *place*
there: the system, kernel, cgroups and Python that the tests ran on. An entry is a file of tests
and how many of them passed, failed, or were skipped and why; a later run replaces it. A file is
entered whole or not at all; only a test that was asked for by its own name is entered by that.
"""

import json
import os
import platform
import re
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from onggi.linux import cgroup
from support.repository import ROOT

DIRECTORY = "ONGGI_TEST_RECORD"
# What a machine of tests/vm is told from outside: the commit, and what was taken away from it.
COMMIT = "ONGGI_TEST_COMMIT"
EMULATED = "ONGGI_TEST_EMULATED"
WITHOUT = "ONGGI_TEST_WITHOUT"

Entry = dict[str, Any]
LAYOUTS = {(): "none", (1,): "v1 alone", (2,): "v2 alone", (1, 2): "v1 beside v2"}


def place() -> dict[str, str]:
    """Say what it is that tests run on here; of a kernel that is not Debian's, only its version."""
    system = platform.freedesktop_os_release()
    versions = {one.version for one in cgroup.hierarchies()}
    return {
        "system": f"{system['NAME'].split()[0]} {system.get('VERSION_ID', 'testing')}",
        "kernel": ".".join(re.findall(r"\d+", os.uname().release)[:2]),
        "release": re.sub(r"^([\d.]+)(?!.*-(amd64|arm64)$).*", r"\1", os.uname().release),
        "machine": os.uname().machine,
        "emulated": os.environ.get(EMULATED, ""),
        "without": os.environ.get(WITHOUT, ""),
        "cgroups": LAYOUTS[tuple(sorted(versions))],
        "python": ".".join(platform.python_version_tuple()[:2]),
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
        "apparmor": "yes" if os.path.exists("/sys/kernel/security/apparmor") else "no",
    }


def commit() -> str:
    """Name what is tested, with a + where files differ from the commit."""
    if told := os.environ.get(COMMIT):
        return told
    head = _git("rev-parse", "--short=10", "HEAD").strip()
    changed = _git("status", "--porcelain", "--", "src", "tests", "scripts")
    return head + "+" * bool(changed)


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def file_name(where: dict[str, str]) -> str:
    """Name the file of a place: by all that makes another place of it, but no exact release."""
    keys = ("system", "kernel", "emulated", "cgroups", "without", "python", "user")
    words = " ".join(where[key] for key in keys if where[key] != "root")
    return re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-") + ".json"


def merge(directory: Path, where: dict[str, str], entries: dict[str, Entry]) -> None:
    """Add entries to the file of a place, which is made if it is not there.

    What it says of tests that there are no more is left out.
    """
    path = directory / file_name(where)
    before = json.loads(path.read_text())["tests"] if path.exists() else {}
    kept = {name: entry for name, entry in before.items() if (ROOT / _file(name)).exists()}
    tests = dict(sorted({**kept, **entries}.items()))
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(tests[name])}" for name in tests)
    directory.mkdir(parents=True, exist_ok=True)
    text = f'{{"place": {json.dumps(where, indent=1)},\n"tests": {{\n{lines}\n}}}}\n'
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def merge_all(source: Path, directory: Path) -> None:
    """Add the records of one directory to those of another."""
    for path in sorted(source.glob("*.json")):
        record = json.loads(path.read_text())
        merge(directory, record["place"], record["tests"])


class Recorder:
    """A plugin of pytest that counts how tests ended, and enters a file when all of it did.

    In an emulated machine that is written down at once, so that what hangs later takes nothing with
    it that is known; elsewhere at the end, as one of the tests compares documents with the records.
    """

    def __init__(self, directory: Path, tests: Path = ROOT / "tests") -> None:
        self._directory = directory
        self._entries: dict[str, Entry] = {}
        self._tests = tests
        self._place, self._commit = place(), commit()
        self._awaited: dict[str, set[str]] = {}  # of each entry, the tests that have not ended
        self._partly: set[str] = set()
        self._said: dict[str, tuple[str, str]] = {}  # of each test, the worst said, and why
        self._ended: set[str] = set()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Note files of which not all tests were chosen."""
        self._partly.update(_file(item.nodeid) for item in items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what is going to run."""
        asked = [argument for argument in session.config.args if "::" in argument]
        self._partly.update(_file(argument) for argument in asked)
        for item in session.items:
            if not item.path.is_relative_to(self._tests):
                continue  # a run of the tests' own that one of them began
            name = item.nodeid if item.nodeid in asked else _file(item.nodeid)
            self._awaited.setdefault(name, set()).add(item.nodeid)
        for name in self._partly:
            self._awaited.pop(name, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a part of a test ended."""
        said, why = ("failed", "") if report.failed else ("passed", "")
        if report.skipped and isinstance(report.longrepr, tuple):
            said, why = "skipped", report.longrepr[2].removeprefix("Skipped: ")
        if said != "passed" or report.nodeid not in self._said:
            self._said[report.nodeid] = (said, why)
        if report.when == "teardown":
            self._ended.add(report.nodeid)
            self._enter_what_is_done(report.nodeid)

    def _enter_what_is_done(self, test: str) -> None:
        for name in (test, _file(test)):
            tests = self._awaited.get(name, set())
            if test in tests and tests <= self._ended:
                self._enter(name, [self._said[each] for each in sorted(tests)])

    def _enter(self, name: str, said: list[tuple[str, str]]) -> None:
        dated = {"commit": self._commit, "date": time.strftime("%Y-%m-%d", time.gmtime())}
        self._entries[name] = dated | _counts(said)
        if os.environ.get(EMULATED):
            self.pytest_sessionfinish()

    def pytest_sessionfinish(self) -> None:
        """Write down what was entered."""
        if self._entries:
            merge(self._directory, self._place, self._entries)


def _counts(said: list[tuple[str, str]]) -> Entry:
    how = Counter(word for word, _ in said)
    why = Counter(reason for word, reason in said if word == "skipped")
    return {"passed": how["passed"], "failed": how["failed"], "skipped": dict(sorted(why.items()))}


def _file(name: str) -> str:
    return name.partition("::")[0]
