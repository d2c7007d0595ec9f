"""A directory that is watched, by the kernel itself."""

import errno
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from onggi.linux.inotify import Watch
from support.child import run_in_child

DEADLINE_SECONDS = 20


@pytest.mark.parametrize("what", ["make", "write", "rename", "remove"])
def test_a_change_ends_the_wait(tmp_path: Path, what: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    for place in (here, tmp_path):
        (place / "old").write_text("before")
    watch = Watch(str(here))
    try:
        assert not watch.wait(0)
        changes: dict[str, Callable[[], object]] = {
            "make": lambda: (here / "new").touch(),
            "write": lambda: (here / "old").write_text("after"),
            "rename": lambda: (tmp_path / "old").rename(here / "moved"),
            "remove": lambda: (here / "old").unlink(),
        }
        changes[what]()
        assert watch.wait(DEADLINE_SECONDS)
        assert not watch.wait(0)  # it has been told
        there.touch()
        assert not watch.wait(0)  # it was not in the directory
    finally:
        watch.close()
        watch.close()


def test_what_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Watch(str(tmp_path / "nothing"))


def test_no_more_descriptors(tmp_path: Path) -> None:
    def body() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        with pytest.raises(OSError, match="Too many") as caught:
            Watch(str(tmp_path))
        assert caught.value.errno == errno.EMFILE

    run_in_child(body)
