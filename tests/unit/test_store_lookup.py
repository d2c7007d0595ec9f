"""Where paths lead in stacked trees: links stay inside, whiteouts and opaque directories count."""

import os
from pathlib import Path

import pytest

from onggi.store import lookup
from onggi.store.merge import Stack


def names(trees: list[Path], path: str) -> list[str] | None:
    """List what the directory shows, or None if there is no such directory."""
    with Stack([str(tree) for tree in trees]) as stack:
        view = lookup.directory(stack, path)
        if view is None:
            return None
        with view:
            return [each.name.decode() for each in view.entries()]


@pytest.fixture
def trees(tmp_path: Path) -> list[Path]:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    (lower / "run" / "lock").mkdir(parents=True)
    (lower / "run" / "old").touch()
    (lower / "var").mkdir()
    (lower / "var" / "run").symlink_to("/run")
    (lower / "var" / "up").symlink_to("../../../run/lock/..")
    (lower / "loop").symlink_to("loop")
    (lower / "out").symlink_to(tmp_path)
    (upper / "run").mkdir(parents=True)
    (upper / "run" / "new").touch()
    (upper / "file").touch()
    return [upper, lower]


@pytest.mark.parametrize("path", ["/run", "run/", "/var/run", "/var/up", "/../run", "/run/lock/.."])
def test_every_way_leads_to_the_merged_directory(trees: list[Path], path: str) -> None:
    assert names(trees, path) == ["lock", "new", "old"]


@pytest.mark.parametrize("path", ["/nowhere", "/file", "/file/x", "/loop", "/out", "/run/new"])
def test_ways_that_lead_to_no_directory(trees: list[Path], path: str) -> None:
    assert names(trees, path) is None


def test_what_is_no_link_is_never_taken_for_the_root(trees: list[Path]) -> None:
    assert names(trees, "/") == ["file", "loop", "out", "run", "var"]
    assert names(trees[:1], "/run") == os.listdir(trees[0] / "run")
