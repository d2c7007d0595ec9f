"""Files that are copied while the container changes what their names stand for."""

import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from onggi.errors import Conflict
from onggi.linux.fd import Fd
from onggi.store.byte_source import ByteSource
from onggi.store.place import put_archive
from support.box import Box
from support.images import tar_of
from support.patience import rounds
from support.programs import compiled
from support.requirements import requires
from support.swapping import SWAPPER
from support.threats import INSIDE, withstands

pytestmark = requires(
    "root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox", "compiler"
)


@withstands(
    "names", "a running container that exchanges what is copied into it, or out of it", by=INSIDE
)
@pytest.mark.time_limit(180)
def test_a_race_for_a_directory_stays_inside(box: Box, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("of the host")
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("copied in")
    os.mkfifo(source / "deep" / "fifo", 0o666)
    program = compiled(SWAPPER, tmp_path)
    racer = box.up("-v", f"{program}:/swap:ro", "-v", "raced:/v", command=("/swap", str(outside)))
    copied = 0
    for _ in range(rounds(40)):
        copied += not box.attempt("cp", f"{source}/.", f"{racer}:/v/d").returncode
        for name in ("d", "d/.", "l/.", "d/secret", "."):
            done = subprocess.run(
                box.line("cp", "--follow-link", f"{racer}:/v/{name}", "-"),
                capture_output=True,
                timeout=60,
                check=False,
            )
            assert b"of the host" not in done.stdout
    box("run", "--rm", "-v", "raced:/v", "busybox", "touch", "/v/stop")
    box("wait", racer)
    assert int(box("logs", racer).stdout) > 100, "the race was never on"
    assert copied, "nothing was ever copied"
    assert [path.name for path in outside.iterdir()] == ["secret"]


def _put(root: Path, data: bytes) -> None:
    with Fd(os.open(root, os.O_PATH | os.O_DIRECTORY)) as place:
        put_archive(
            ByteSource(iter([data])),
            place,
            b"",
            owner=lambda uid, gid: (uid, gid),
            enters=lambda _fd: True,
        )


def _archive(kind: bytes, link: str = "") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        entry = tarfile.TarInfo("made")
        entry.type, entry.mode, entry.uid, entry.linkname = kind, 0o4777, 4242, link
        archive.addfile(entry)
    return held.getvalue()


@withstands("names", "a node or link exchanged before its owner and mode are set")
@pytest.mark.parametrize(
    ("call", "archive"),
    [("mknod", _archive(tarfile.FIFOTYPE)), ("symlink", _archive(tarfile.SYMTYPE, "/x"))],
)
@pytest.mark.parametrize("by_link", [True, False], ids=["a link", "a second name"])
def test_what_was_made_is_what_gets_attributes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, archive: bytes, by_link: bool
) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    root.mkdir()
    victim.write_text("")
    victim.chmod(0o600)
    make = getattr(os, call)

    def make_and_exchange(*words: object, **more: object) -> None:
        make(*words, **more)
        (root / "made").unlink()
        if by_link:
            make_link(victim, root / "made")
        else:
            os.link(victim, root / "made")

    make_link = os.symlink
    monkeypatch.setattr(os, call, make_and_exchange)
    if call == "symlink" and by_link:
        _put(root, archive)  # one link for another: it is the link that gets an owner
    else:
        with pytest.raises(Conflict, match="became something else"):
            _put(root, archive)
    status = victim.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())


def test_an_archive_climbs_nowhere(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    root.mkdir()
    (root / "link").symlink_to(outside)
    with pytest.raises(Exception, match="cannot be made"):
        _put(root, tar_of({"link/file": b"climbs"}))
    with pytest.raises(Exception, match="leads out"):
        _put(root, tar_of({"../file": b"climbs"}))
    assert not list(outside.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "root"]
