"""What the documents point at exists, and what they repeat agrees with its source."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import onggi
from support.repository import ROOT

LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

DOCUMENTS = sorted(
    path
    for folder in (".", "bench", "docs", "docs/how-to", "docs/reference", "examples/guestbook")
    for path in (ROOT / folder).glob("*.md")
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target, heading in LINK.findall(FENCED.sub("", path.read_text())):
        if "://" in target:
            continue
        found = path.parent / target if target else path
        assert found.exists(), f"{path}: {target}"
        assert not heading or heading in headings(found), f"{path}: {target}#{heading}"


def headings(path: Path) -> set[str]:
    """Return the names by which a document's headings are linked to."""
    titles = HEADING.findall(FENCED.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_the_reference_is_what_the_commands_say() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference", "--check"], check=False, timeout=60
    )
    assert done.returncode == 0, "docs/reference/commands.md is out of date: make reference"


def test_the_changelog_knows_the_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changes or f"## [{onggi.__version__}]" in changes


def test_each_development_dependency_is_justified() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    reasons = (ROOT / "docs" / "dependencies.md").read_text()
    assert project["dependencies"] == []
    for line in project["optional-dependencies"]["dev"]:
        assert f"`{re.split('[~=<>]', line)[0]}`" in reasons


def test_each_debian_package_is_justified() -> None:
    reasons = (ROOT / "docs" / "dependencies.md").read_text()
    lists = re.findall(
        r'^\w+_packages="(.*)"$', (ROOT / "scripts" / "setup").read_text(), re.MULTILINE
    )
    for package in " ".join(lists).split():
        assert package.startswith("$") or f"`{package}`" in reasons
