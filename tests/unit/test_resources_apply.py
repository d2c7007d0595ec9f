"""Applying, where plain files can stand for a cgroup's."""

from pathlib import Path

import pytest

from onggi.resources import apply
from onggi.resources.layout import Enable, Inherit


def test_an_empty_cpuset_is_filled_from_above(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "cpuset.cpus").write_text("0-3\n")
    (tmp_path / "below" / "cpuset.cpus").write_text("\n")
    step = Inherit(path=str(tmp_path / "below"), file="cpuset.cpus", reason="")
    apply.inherit(step)
    assert (tmp_path / "below" / "cpuset.cpus").read_text().strip() == "0-3"


def test_a_cpuset_that_has_processors_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "cpuset.cpus").write_text("0-3\n")
    (tmp_path / "below" / "cpuset.cpus").write_text("1\n")
    apply.inherit(Inherit(path=str(tmp_path / "below"), file="cpuset.cpus", reason=""))
    assert (tmp_path / "below" / "cpuset.cpus").read_text() == "1\n"


def test_controllers_are_passed_on_together(tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").touch()
    apply.enable(step(tmp_path, required=()))
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory"


def test_only_a_required_controller_must_be_had(tmp_path: Path) -> None:
    apply.enable(step(tmp_path, required=()))
    with pytest.raises(FileNotFoundError):
        apply.enable(step(tmp_path, required=("memory",)))


def step(path: Path, required: tuple[str, ...]) -> Enable:
    return Enable(path=str(path), controllers=("cpu", "memory"), required=required, reason="")
