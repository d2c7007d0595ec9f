"""Making room: `image prune` and `builder prune`."""

import fcntl
import os
from pathlib import Path

import pytest

from onggi.build.cache_mounts import take_cache, take_unused
from support.command import Onggi
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-pids", "busybox")


@pytest.fixture
def jar(onggi: Onggi) -> Onggi:
    onggi("bootstrap", "busybox")
    return onggi


def built(jar: Onggi, lines: str, *options: str) -> str:
    dockerfile = f"FROM busybox\n{lines}\n"
    return jar("build", "-q", *options, "-", input=dockerfile).stdout.strip()


def listed(jar: Onggi, *options: str) -> set[str]:
    return set(jar("images", "-q", "--no-trunc", *options).stdout.split())


def test_images_without_a_name(jar: Onggi) -> None:
    named = built(jar, "LABEL is=named", "-t", "named")
    lost = built(jar, "LABEL is=lost")
    used = built(jar, "LABEL is=used")
    jar("run", "--network", "none", "--name", "user", used, "true")
    done = jar("image", "prune", "--force").stdout
    assert done.startswith(f"Deleted Images:\ndeleted: {lost}\n\nTotal reclaimed space: ")
    assert {named, used} <= listed(jar)
    assert lost not in listed(jar)
    assert jar("image", "prune", "-f").stdout == "Total reclaimed space: 0B\n"


def test_images_with_a_name(jar: Onggi) -> None:
    kept = built(jar, "LABEL keep=1", "-t", "kept")
    gone = built(jar, "LABEL keep=", "-t", "gone", "-t", "gone:2")
    said = jar("image", "prune", "-af", "--filter", "label!=keep=1", "--filter", "until=0s").stdout
    assert f"untagged: gone:2\nuntagged: gone:latest\ndeleted: {gone}\n" in said
    assert listed(jar) == {kept}


def test_images_that_are_too_young(jar: Onggi) -> None:
    young = built(jar, "RUN touch /young")
    jar("image", "prune", "-f", "--filter", "until=1h")
    assert young in listed(jar)
    jar("image", "prune", "-f", "--filter", "until=2099-01-01")
    assert young not in listed(jar)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["image", "prune"], 125, "nobody is here to ask (add --force)"),
        (["builder", "prune"], 125, "nobody is here to ask (add --force)"),
        (["image", "prune", "-f", "--filter", "size=1"], 1, "invalid filter 'size'"),
        (["image", "prune", "-f", "--filter", "until=soon"], 125, "expected a duration"),
        (["image", "prune", "-f", "--filter", "dangling=perhaps"], 1, "dangling=perhaps"),
    ],
)
def test_refusals(onggi: Onggi, words: list[str], code: int, message: str) -> None:
    done = onggi.attempt(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_the_build_cache(jar: Onggi) -> None:
    lines = "RUN --mount=type=cache,target=/c echo x >> /c/log; cp /c/log /log"
    built(jar, lines, "-t", "made")
    unused = built(jar, "RUN echo never kept > /file")
    jar("rmi", unused)
    jar("builder", "prune", "-f")
    assert jar("run", "--rm", "--network", "none", "made", "cat", "/log").stdout == "x\n"
    again = jar("build", "--progress=plain", "-t", "made", "-", input=f"FROM busybox\n{lines}\n")
    assert "CACHED" not in again.stderr
    seen = jar("run", "--rm", "--network", "none", "made", "cat", "/log").stdout
    assert seen == "x\n", "the mount began anew"


def test_layers_of_forgotten_steps_go(jar: Onggi) -> None:
    before = set(os.listdir(jar.root / "layers"))
    jar("rmi", built(jar, "RUN echo a > /a"))
    assert len(set(os.listdir(jar.root / "layers")) - before) == 1, "the cache keeps it"
    assert jar("builder", "prune", "-f").stdout != "Total reclaimed space: 0B\n"
    assert set(os.listdir(jar.root / "layers")) == before


def test_a_cache_in_use_stays(tmp_path: Path) -> None:
    root, doomed = tmp_path / "mounts", tmp_path / "doomed"
    doomed.mkdir()
    used, _, lock = take_cache(str(root), "used", "shared")
    _, _, other = take_cache(str(root), "idle", "shared")
    other.close()
    assert take_unused(str(root), str(doomed)) == 0
    assert len(list(doomed.iterdir())) == 1
    assert Path(used).is_dir()
    lock.close()


def test_a_cache_that_is_pruned_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, doomed = tmp_path / "mounts", tmp_path / "doomed"
    doomed.mkdir()
    flock = fcntl.flock

    def pruned_first(fd: int, how: int) -> None:
        monkeypatch.undo()
        take_unused(str(root), str(doomed))
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", pruned_first)
    path, is_new, lock = take_cache(str(root), "name", "shared")
    assert is_new
    assert Path(path).is_relative_to(root)
    assert Path(path).is_dir()
    lock.close()
