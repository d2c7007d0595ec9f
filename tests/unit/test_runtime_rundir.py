"""The lock of a run directory, and who finds it removed at this very moment."""

import os
import threading
from pathlib import Path

import pytest

from onggi.errors import Conflict
from onggi.runtime import after, rundir


def test_one_has_it(tmp_path: Path) -> None:
    path = str(tmp_path / "run")
    held = rundir.lock(path)
    assert rundir.is_held(path)
    with pytest.raises(Conflict):
        rundir.lock(path, patience=0)
    os.close(held)
    assert not rundir.is_held(path)
    os.close(rundir.lock(path, patience=0))


def test_to_look_makes_nothing(tmp_path: Path) -> None:
    assert not rundir.is_held(str(tmp_path / "run"))
    rundir.wait_free(str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_who_waited_gets_a_lock_that_others_find(tmp_path: Path) -> None:
    """The file that was waited for is gone by then, and with it what a lock on it would mean."""
    path = str(tmp_path / "run")
    held = rundir.lock(path)
    got: list[int] = []
    waiting = threading.Thread(target=lambda: got.append(rundir.lock(path, patience=30)))
    waiting.start()
    rundir.remove(path)
    os.close(held)
    waiting.join(30)
    assert rundir.is_held(path)
    os.close(got[0])


def test_a_directory_that_was_taken_up_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "run")
    held = rundir.lock(path)
    taken: list[int] = []
    rmdir = os.rmdir

    def just_before(directory: str) -> None:
        taken.append(rundir.lock(path, patience=0))
        rmdir(directory)

    monkeypatch.setattr(os, "rmdir", just_before)
    rundir.remove(path)
    assert rundir.is_held(path)
    for fd in (held, *taken):
        os.close(fd)


def test_pipes_go_with_it_and_twice_is_fine(tmp_path: Path) -> None:
    path = str(tmp_path / "run")
    held = rundir.lock(path)
    for name in ("stdin", "stdout", "stderr"):
        os.mkfifo(f"{path}/{name}")
    rundir.remove(path)
    rundir.remove(path)
    assert not os.path.exists(path)
    os.close(held)


@pytest.mark.parametrize("name", ["", "os:system", "onggi.store.trees:remove", "Remove"])
def test_nothing_is_done_afterwards_but_what_is_on_the_list(name: str) -> None:
    with pytest.raises(ValueError, match="nothing known"):
        after.carry_out(name, "/")
