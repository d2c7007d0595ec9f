"""What the host's side and the first process of a user namespace say to each other."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.errors import Internal
from onggi.linux import channel
from onggi.runtime import mapped
from onggi.runtime.failure import StartFailed
from onggi.runtime.plan.users import UserMap
from onggi.runtime.steps.base import Context
from onggi.runtime.steps.mounts import MountOverlay
from support import plans

MAP = UserMap(((0, 100000, 65536),), ((0, 200000, 65536),))


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    ours, theirs = channel.pair()
    yield ours, theirs
    for fd in (ours, theirs):
        try:
            os.close(fd)
        except OSError:
            continue


def lead(ours: int) -> None:
    mapped.lead(plans.plan(plans.configuration()), MAP, os.getpid(), ours)


def test_what_the_first_process_could_not_do_is_told(pair: tuple[int, int]) -> None:
    failed = StartFailed("container", errno.EPERM, "chdir", "/run/root", "enter /run/root")
    channel.send(pair[1], failed.encode())
    with pytest.raises(StartFailed, match="enter /run/root") as caught:
        lead(pair[0])
    assert caught.value.number == errno.EPERM


@pytest.mark.parametrize("word", [b"", b"ready", b"failed"])
def test_a_first_process_that_says_something_else_is_a_bug(
    pair: tuple[int, int], word: bytes
) -> None:
    channel.send(pair[1], word) if word else os.close(pair[1])
    with pytest.raises(Internal):
        lead(pair[0])


def test_every_tree_goes_by_its_own_place(pair: tuple[int, int], tmp_path: Path) -> None:
    names = ["", "/one", "/two", os.fsdecode(b"/caf\xe9")]
    for number, name in enumerate(names):
        (tmp_path / str(number)).write_text(name, errors="surrogateescape")
        fd = os.open(tmp_path / str(number), os.O_RDONLY)
        channel.send(pair[0], b"T" + os.fsencode(name), (fd,))
        os.close(fd)
    channel.send(pair[0], b"mapped")
    context = Context()
    context.report_fd = pair[1]
    mapped._receive_trees(context)
    assert list(context.trees) == names
    for name, fd in context.trees.items():
        with open(fd, "rb") as file:
            assert file.read() == os.fsencode(name)


def test_the_writable_directory_gets_the_owner_that_its_root_is_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upper = tmp_path / "upper: 1"
    upper.mkdir()
    changed: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda *given: changed.append(given))
    escaped = str(upper).replace(":", "\\:")
    mapped.own_upper(
        MountOverlay("/root", ("lowerdir=/a", f"upperdir={escaped}", "workdir=/w")), MAP
    )
    assert changed == [(str(upper), 100000 + os.getuid(), 200000 + os.getgid())]
