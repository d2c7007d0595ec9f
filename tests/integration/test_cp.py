"""Copying into containers and out of them, as `cp` and the library do it."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onggi.engine import files
from onggi.engine.container import Container
from onggi.errors import Conflict, Denied, NotFound, Unsupported
from support.box import Box
from support.command import root_of_module
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

USERS = requires("user-namespaces", "idmapped-mounts")


@pytest.fixture(scope="module")
def jar() -> Iterator[Box]:
    command = Box(root_of_module("cp"))
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


@pytest.fixture
def running(jar: Box) -> Iterator[str]:
    yield jar.up("--volume", "/kept", "--tmpfs", "/memory", command=("sleep", "600"))
    jar.empty()


@pytest.fixture(params=["running", "stopped", "created", "paused"])
def any_state(request: pytest.FixtureRequest, jar: Box) -> Iterator[str]:
    if request.param == "created":
        identity = jar("create", "--volume", "/kept", "busybox", "sleep", "600").stdout.strip()
    else:
        identity = jar.up("--volume", "/kept")
    if request.param == "stopped":
        jar("kill", identity)
        jar("wait", identity)
    if request.param == "paused":
        jar("pause", identity)
    yield identity
    if request.param == "paused":
        jar("unpause", identity)
    jar.empty()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a tree of each kind of file."""
    top = tmp_path / "tree"
    (top / "below" / "empty").mkdir(parents=True)
    (top / "file").write_text("text\n")
    (top / "below" / "program").write_text("#!/bin/sh\n")
    (top / "below" / "program").chmod(0o4751)
    os.link(top / "file", top / "below" / "same")
    (top / "link").symlink_to("/nowhere/at/all")
    (top / ".wh.name").write_text("no whiteout")
    os.mkfifo(top / "fifo")
    os.chown(top / "file", 1234, 4321)
    os.utime(top / "file", ns=(1, 1_500_000_000_123_456_789))
    (top / "below").chmod(0o2750)
    return top


def described(top: Path) -> dict[str, tuple[object, ...]]:
    """Tell of each thing in a tree what copying keeps."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        link = os.readlink(path) if path.is_symlink() else ""
        name = str(path.relative_to(top))
        found[name] = (status.st_mode, status.st_mtime_ns, status.st_nlink, content, link)
    return found


def test_a_tree_comes_back_as_it_went(jar: Box, any_state: str, tree: Path, tmp_path: Path) -> None:
    jar("cp", tree, f"{any_state}:/kept/copy")
    jar("cp", f"{any_state}:/kept/copy", tmp_path / "back")
    assert described(tmp_path / "back") == described(tree)
    jar("cp", tree, f"{any_state}:/in-layer")
    (tmp_path / "again").mkdir()
    jar("cp", f"{any_state}:/in-layer/.", tmp_path / "again")
    assert described(tmp_path / "again") == described(tree)
    assert not jar("cp", "--quiet", f"{any_state}:/etc/passwd", tmp_path).stderr


def test_what_was_copied_in_is_there_for_the_program(jar: Box, any_state: str, tree: Path) -> None:
    jar("cp", tree / "file", f"{any_state}:/kept/one")
    jar("cp", tree / "file", f"{any_state}:/two")
    if jar.see(any_state, ".State.Status") in ("created", "exited"):
        jar("start", any_state)
    if jar.see(any_state, ".State.Status") == "running":
        assert jar.inside(any_state, "cat /kept/one /two") == "text\ntext"


def test_owners(jar: Box, running: str, tree: Path, tmp_path: Path) -> None:
    jar("cp", tree / "file", f"{running}:/tmp/plain")
    jar("cp", "--archive", tree / "file", f"{running}:/tmp/kept")
    assert jar.inside(running, "stat -c %u:%g /tmp/plain /tmp/kept").split() == ["0:0", "1234:4321"]
    jar("cp", f"{running}:/tmp/kept", tmp_path / "plain")
    jar("cp", "-a", f"{running}:/tmp/kept", tmp_path / "kept")
    assert (tmp_path / "plain").stat().st_uid == os.geteuid()
    assert (tmp_path / "kept").stat().st_uid == 1234


@USERS
def test_owners_of_a_container_with_users_of_its_own(jar: Box, tree: Path, tmp_path: Path) -> None:
    identity = jar.up("--userns", "auto", "--volume", "/kept")
    jar("cp", "--archive", tree / "file", f"{identity}:/tmp/kept")
    jar("cp", tree, f"{identity}:/tree")
    assert jar.inside(identity, "stat -c %u:%g /tmp/kept /tree/file").split() == [
        "1234:4321",
        "0:0",
    ]
    jar("cp", "-a", f"{identity}:/tmp/kept", tmp_path / "kept")
    assert (tmp_path / "kept").stat().st_uid == 1234
    refused = jar.attempt("cp", tree / "file", f"{identity}:/kept/file")
    assert refused.returncode == 1
    assert "users of its own" in refused.stderr
    jar("kill", identity)
    jar("wait", identity)
    assert "start it" in jar.attempt("cp", tree / "file", f"{identity}:/x").stderr
    jar("cp", "-a", f"{identity}:/tmp/kept", tmp_path / "again")
    assert (tmp_path / "again").stat().st_uid == 1234
    jar.empty()


def test_directories_that_are_there_stay_what_they_are(
    jar: Box, running: str, tmp_path: Path
) -> None:
    (tmp_path / "root" / "tmp").mkdir(parents=True)
    (tmp_path / "root" / "tmp" / "new").touch()
    jar("cp", f"{tmp_path}/root/.", f"{running}:/")
    assert jar.inside(running, "stat -c %a /tmp; ls /tmp") == "1777\nnew"
    jar.inside(running, "mkdir -p /real && ln -s /real /alias")
    (tmp_path / "root" / "alias").mkdir()
    (tmp_path / "root" / "alias" / "below").touch()
    jar("cp", f"{tmp_path}/root/.", f"{running}:/")
    assert jar.inside(running, "ls /real; readlink /alias") == "below\n/real"


def test_memory_and_mounted_files(jar: Box, running: str, tree: Path) -> None:
    jar("cp", tree / "file", f"{running}:/memory/file")
    assert jar.inside(running, "cat /memory/file") == "text"
    jar("cp", tree / "file", f"{running}:/etc/hosts")
    assert jar.inside(running, "cat /etc/hosts; stat -c %u /etc/hosts") == "text\n0"


def test_links(jar: Box, running: str, tmp_path: Path) -> None:
    jar.inside(running, "echo inside >/tmp/real; ln -s /tmp/real /tmp/link")
    jar("cp", f"{running}:/tmp/link", tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "/tmp/real"
    jar("cp", "-L", f"{running}:/tmp/link", tmp_path / "followed")
    assert (tmp_path / "followed").read_text() == "inside\n"
    (tmp_path / "here").symlink_to(tmp_path / "followed")
    jar("cp", "--follow-link", tmp_path / "here", f"{running}:/tmp/there")
    assert jar.inside(running, "cat /tmp/there") == "inside"


def test_archives_by_the_streams(jar: Box, running: str, tree: Path) -> None:
    packed = subprocess.run(
        ["tar", "-C", tree, "-cz", "below"], capture_output=True, check=True, timeout=20
    ).stdout
    done = subprocess.run(
        jar.line("cp", "-", f"{running}:/srv"), input=packed, capture_output=True, timeout=20
    )
    assert b"could not find" in done.stderr
    done = subprocess.run(
        jar.line("cp", "-", f"{running}:/tmp"), input=packed, check=True, timeout=20
    )
    back = subprocess.run(
        jar.line("cp", f"{running}:/tmp/below", "-"), capture_output=True, check=True, timeout=20
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(back)) as archive:
        assert archive.getnames() == ["below", "below/program", "below/same", "below/empty"]
        assert archive.getmember("below/program").mode == 0o4751


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cp", "{c}:/nope", "."), "could not find the file '/nope' in container"),
        (("cp", "{c}:/etc/passwd/", "."), "not a directory: '/etc/passwd/'"),
        (("cp", "{t}/file", "{c}:/nope/"), "no such directory: '/nope/'"),
        (("cp", "{t}/file", "{c}:/nope/x"), "could not find the file '/nope'"),
        (("cp", "{t}/file", "{c}:/etc/passwd/x"), "not a directory"),
        (("cp", "{t}", "{c}:/etc/passwd"), "cannot copy a directory to a file: '/etc/passwd'"),
        (("cp", "{t}/file", "{c}:/proc/x"), "'/proc' is the kernel's"),
        (("cp", "{t}/nope", "{c}:/tmp"), "could not find the file"),
        (("cp", "nobody:/x", "."), "no such container: nobody"),
        (("cp", "/x", "/y"), "copying without a container is not supported"),
        (("cp", "{c}:/x", "other:/y"), "copying between containers is not supported"),
    ],
)
def test_refusals(jar: Box, running: str, tree: Path, words: tuple[str, ...], said: str) -> None:
    told = [word.format(c=running, t=tree) for word in words]
    done = jar.attempt(*told)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_never_takes_a_directorys_place(jar: Box, running: str, tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "etc").write_text("")
    done = jar.attempt("cp", f"{tmp_path}/top/.", f"{running}:/")
    assert "cannot overwrite directory '/etc' with non-directory" in done.stderr
    (tmp_path / "top" / "etc").unlink()
    (tmp_path / "top" / "etc" / "passwd").mkdir(parents=True)
    done = jar.attempt("cp", f"{tmp_path}/top/.", f"{running}:/")
    assert "cannot overwrite non-directory '/etc/passwd' with directory" in done.stderr
    assert jar.inside(running, "test -f /etc/passwd && echo there") == "there"


def test_what_the_kernel_shows_is_empty(jar: Box, running: str, tmp_path: Path) -> None:
    for name in ("proc", "sys", "dev/pts"):
        jar("cp", f"{running}:/{name}", tmp_path / "shown")
        assert not list((tmp_path / "shown").iterdir())
        (tmp_path / "shown").rmdir()


def test_the_library(jar: Box, running: str, tree: Path, tmp_path: Path) -> None:
    with jar.engine() as engine:
        container = engine.containers.get(running)
        container.write("/tmp/made", b"bytes", mode=0o600)
        assert container.read("/tmp/made") == b"bytes"
        assert jar.inside(running, "stat -c %a:%u /tmp/made") == "600:0"
        pieces, known = container.get_archive("/tmp/made")
        assert (known["name"], known["size"], known["mode"]) == ("made", 5, 0o600)
        container.put_archive("/memory", b"".join(pieces))
        assert container.read("/memory/made") == b"bytes"
        _, known = container.get_archive("/dev/fd")
        assert known["linkTarget"] == "/proc/self/fd"
        assert known["mode"] == 1 << 27 | 0o777
        assert container.copy_in(str(tree), "/copied") > 5
        assert container.copy_out("/copied/file", str(tmp_path)) > 5
        assert (tmp_path / "file").read_text() == "text\n"
        refuses(container)


def refuses(container: Container) -> None:
    for path in ("/nope", "/tmp/nope/made"):
        with pytest.raises(NotFound):
            container.read(path)
    with pytest.raises(NotFound):
        container.write("/nope/made", b"")
    with pytest.raises(Conflict):
        container.read("/dev/null")
    with pytest.raises(Conflict):
        container.write("/tmp", b"")
    with pytest.raises(Denied):
        container.write("/proc/sysrq-trigger", b"b")
    with pytest.raises(Conflict):
        container.put_archive("/etc/passwd", b"")


@USERS
def test_the_library_tells_what_it_cannot(jar: Box) -> None:
    identity = jar.up("--userns", "auto", "--volume", "/kept")
    with jar.engine() as engine, pytest.raises(Unsupported):
        engine.containers.get(identity).write("/kept/x", b"")
    jar.empty()


def test_who_copies_keeps_it_from_starting(jar: Box, tree: Path) -> None:
    """Two overlays that write to one directory are something that overlayfs does not define."""
    identity = jar("create", "busybox", "sleep", "600").stdout.strip()
    with jar.engine() as engine:
        container = engine.containers.get(identity)
        with files.of_container(container):
            refused = jar.attempt("start", identity)
        assert refused.returncode == 1
        assert "being started already" in refused.stderr
        with ThreadPoolExecutor(4) as pool:
            copies = [pool.submit(container.copy_in, str(tree), f"/{n}") for n in range(4)]
        assert all(copy.result() for copy in copies)
    jar("start", identity)
    assert jar.inside(identity, "cat /0/file /1/file /2/file /3/file").split() == ["text"] * 4
    jar.empty()
