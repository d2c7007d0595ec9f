"""Removing trees that somebody else is still writing to."""

import os
from pathlib import Path

import pytest

from onggi.store import trees
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root")


@withstands("targets", "a directory exchanged for a link during a lookup")
def test_a_directory_swapped_for_a_link_is_not_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is removed is seen to be a directory, and has become a link when it is opened."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    doomed = tmp_path / "doomed"
    victim = doomed / "d"
    (victim / "full").mkdir(parents=True)
    remove = os.rmdir
    swapped: list[str] = []

    def swap(name: str, *, dir_fd: int | None = None) -> None:
        try:
            remove(name, dir_fd=dir_fd)
        except OSError:
            if os.path.isdir(victim) and not swapped:
                os.rename(victim, tmp_path / "moved")
                os.symlink(outside, victim)
                swapped.append(name)
            raise

    monkeypatch.setattr(os, "rmdir", swap)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        trees.remove(str(doomed))
    assert swapped
    assert (outside / "file").read_text() == "kept"
