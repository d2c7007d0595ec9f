"""`Inside`: whatever a tree's author wrote into it, nothing outside is reached."""

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onggi.linux import _abi
from onggi.linux._abi import c_char_p, c_int, c_uint
from onggi.linux.fd import Fd
from onggi.linux.path import OPEN_HOW, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, Inside, openat2
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("openat2")

RENAME_EXCHANGE = 2


class Tree:
    """A root directory with a secret and a landing place beside it."""

    def __init__(self, base: Path) -> None:
        self.root = base / "root"
        self.outside = base / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        (self.outside / "secret").write_text("secret")
        self.fd = Fd(os.open(self.root, os.O_PATH | os.O_CLOEXEC))
        self.inside = Inside(self.fd)

    def where(self, number: int) -> str:
        """Tell where a descriptor lies, seen from the root, and close it."""
        with Fd(number) as found:
            place = os.readlink(f"/proc/self/fd/{found.fileno()}")
        assert place.startswith(str(self.root)), f"{place} is outside"
        return place.removeprefix(str(self.root)) or "/"

    def untouched(self) -> bool:
        return sorted(os.listdir(self.outside)) == ["secret"]


@pytest.fixture
def tree(root_dir: Path) -> Iterator[Tree]:
    made = Tree(root_dir)
    yield made
    made.fd.close()


def test_struct_open_how() -> None:
    assert OPEN_HOW.size == 24  # OPEN_HOW_SIZE_VER0 of <linux/openat2.h>


@pytest.mark.parametrize("path", ["/a/b", "a/b", "../../a/b", "/../a/./b/", b"a//b", "loop/a/b"])
def test_paths_begin_and_end_inside(tree: Tree, path: str | bytes) -> None:
    (tree.root / "a/b").mkdir(parents=True)
    (tree.root / "loop").symlink_to(".")
    assert tree.where(tree.inside.open(path, os.O_PATH)) == "/a/b"


@pytest.mark.parametrize("path", ["", "/", ".", "..", "../../.."])
def test_nothing_is_above_the_root(tree: Tree, path: str) -> None:
    assert tree.where(tree.inside.open(path, os.O_PATH)) == "/"


@pytest.mark.parametrize("climb", ["{outside}/secret", "../outside/secret", "/../outside/secret"])
def test_a_link_out_leads_nowhere(tree: Tree, climb: str) -> None:
    (tree.root / "link").symlink_to(climb.format(outside=tree.outside))
    with pytest.raises(FileNotFoundError):
        tree.inside.open("link", os.O_RDONLY)


def test_an_absolute_link_is_followed_from_the_root(tree: Tree) -> None:
    (tree.root / "etc").mkdir()
    (tree.root / "etc/passwd").write_text("inside")
    (tree.root / "link").symlink_to("/etc/passwd")
    with open(tree.inside.open("link", os.O_RDONLY)) as file:
        assert file.read() == "inside"


@requires("root")
def test_a_magic_link_is_refused(tree: Tree) -> None:
    from onggi.linux import mount
    from support.child import run_in_child

    def body() -> None:
        (tree.root / "proc").mkdir()
        mount.mount("proc", str(tree.root / "proc"), "proc")
        with Fd(os.open(tree.root, os.O_PATH | os.O_CLOEXEC)) as root:
            for path in ("proc/self/root/etc", "proc/self/cwd", "proc/self/exe"):
                with pytest.raises(OSError, match="symbolic links") as caught:
                    Inside(root).open(path, os.O_PATH)
                assert caught.value.errno == errno.ELOOP

    run_in_child(body, "mount")


def test_creating_through_a_dangling_link_creates_inside(tree: Tree) -> None:
    (tree.root / "link").symlink_to("/new")
    os.close(tree.inside.open("link", os.O_CREAT | os.O_WRONLY, 0o600))
    assert (tree.root / "new").exists()
    with pytest.raises(OSError, match="symbolic links"):
        tree.inside.open("link", os.O_CREAT | os.O_NOFOLLOW | os.O_WRONLY, 0o600)


def test_directories_are_made_with_their_parents(tree: Tree) -> None:
    assert tree.where(tree.inside.make_directories("/a/b/c", 0o750)) == "/a/b/c"
    assert stat.S_IMODE((tree.root / "a/b").stat().st_mode) == 0o750
    (tree.root / "a/b").chmod(0o700)
    assert tree.where(tree.inside.make_directories("a/b/c/../d", 0o755)) == "/a/b/d"
    assert stat.S_IMODE((tree.root / "a/b").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("target", "made"),
    [
        ("/run", "/run/x/y"),
        ("run", "/var/run/x/y"),
        ("../run", "/run/x/y"),
        ("../../../../run", "/run/x/y"),
        ("{outside}", "{outside}/x/y"),
        ("deep/deeper", "/var/deep/deeper/x/y"),
    ],
)
def test_directories_are_made_where_a_dangling_link_leads(
    tree: Tree, target: str, made: str
) -> None:
    (tree.root / "var").mkdir()
    (tree.root / "var/link").symlink_to(target.format(outside=tree.outside))
    number = tree.inside.make_directories("/var/link/x/y")
    assert tree.where(number) == made.format(outside=tree.outside)
    assert tree.untouched()


def test_directories_are_made_through_links_that_lead_somewhere(tree: Tree) -> None:
    (tree.root / "real").mkdir()
    (tree.root / "one").symlink_to("two")
    (tree.root / "two").symlink_to("/real")
    assert tree.where(tree.inside.make_directories("one/new")) == "/real/new"


def test_links_in_a_circle_are_an_error(tree: Tree) -> None:
    (tree.root / "a").symlink_to("b")
    (tree.root / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        tree.inside.make_directories("a/x")
    (tree.root / "c").symlink_to("d/c")
    (tree.root / "d").symlink_to("missing/../d")
    with pytest.raises(OSError, match=r"symbolic links|No such file"):
        tree.inside.make_directories("c/x")


def test_going_up_from_what_does_not_exist_is_an_error(tree: Tree) -> None:
    with pytest.raises(FileNotFoundError):
        tree.inside.make_directories("missing/../../outside/new")
    assert tree.untouched()
    assert tree.where(tree.inside.make_directories("missing")) == "/missing"


def test_a_file_in_the_way_is_an_error(tree: Tree) -> None:
    (tree.root / "file").write_text("kept")
    with pytest.raises(NotADirectoryError):
        tree.inside.make_directories("file/x")
    with pytest.raises(NotADirectoryError):
        tree.inside.make_file("file/x")
    with pytest.raises(NotADirectoryError):
        tree.inside.make_directories("file")
    assert (tree.root / "file").read_text() == "kept"


def test_a_file_is_made_once_and_then_left_alone(tree: Tree) -> None:
    assert tree.where(tree.inside.make_file("/etc/hosts")) == "/etc/hosts"
    (tree.root / "etc/hosts").write_text("kept")
    os.close(tree.inside.make_file("/etc/hosts"))
    assert (tree.root / "etc/hosts").read_text() == "kept"


@pytest.mark.parametrize("target", ["/elsewhere", "{outside}/secret2", "../outside/secret2"])
def test_a_file_is_made_where_a_dangling_link_leads(tree: Tree, target: str) -> None:
    (tree.root / "link").symlink_to(target.format(outside=tree.outside))
    with Fd(tree.inside.make_file("link")) as found:
        assert stat.S_ISREG(os.fstat(found.fileno()).st_mode)
        tree.where(os.dup(found.fileno()))
    assert tree.untouched()


def test_a_fifo_in_a_files_place_does_not_block(tree: Tree) -> None:
    os.mkfifo(tree.root / "fifo")
    with Fd(tree.inside.make_file("fifo")) as found:
        assert stat.S_ISFIFO(os.fstat(found.fileno()).st_mode)


@pytest.mark.parametrize("path", ["/", "", "dir", ".."])
def test_a_directory_is_no_file(tree: Tree, path: str) -> None:
    (tree.root / "dir").mkdir()
    with pytest.raises(IsADirectoryError):
        tree.inside.make_file(path)


def test_a_parent_is_opened_with_a_plain_name(tree: Tree) -> None:
    (tree.root / "a").mkdir()
    (tree.root / "link").symlink_to("/a")
    (tree.root / "a/last").symlink_to("/nowhere")
    number, name = tree.inside.open_parent("link/last")
    assert (tree.where(number), name) == ("/a", b"last")
    for path in ("/", "", "..", "a/.."):
        with pytest.raises(OSError, match="Invalid argument"):
            tree.inside.open_parent(path)


def test_beneath_refuses_what_inside_would_bend(tree: Tree) -> None:
    (tree.root / "link").symlink_to("/")
    for path, code in (("..", errno.EXDEV), ("link", errno.EXDEV), ("/", errno.EXDEV)):
        with pytest.raises(OSError, match="cross-device") as caught:
            openat2(tree.fd, path, os.O_PATH, 0, RESOLVE_BENEATH)
        assert caught.value.errno == code
    with pytest.raises(OSError, match="symbolic links"):
        openat2(tree.fd, "link", os.O_PATH, 0, RESOLVE_NO_SYMLINKS)


@withstands("targets", "a directory exchanged for a link during a lookup")
def test_a_directory_swapped_for_a_link_meanwhile_never_leads_out(tree: Tree) -> None:
    """Lose no race like that of CVE-2021-30465: a parent changes while a target is made."""
    (tree.root / "dir").mkdir()
    (tree.root / "link").symlink_to(tree.outside)
    exchange = _abi.bind("renameat2", c_int, c_char_p, c_int, c_char_p, c_uint)
    root, stop = tree.fd.fileno(), threading.Event()

    def swap() -> None:
        while not stop.is_set():
            assert exchange(root, b"dir", root, b"link", RENAME_EXCHANGE) == 0

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        makes = (tree.inside.make_directories, tree.inside.make_file)
        made = sum(_made(tree, make, f"dir/x{n}") for n in range(500) for make in makes)
    finally:
        stop.set()
        thread.join()
    assert tree.untouched()
    assert made > 0


def _made(tree: Tree, make: Callable[[str], int], path: str) -> bool:
    """Make something in the moving place, which may fail only as a race can make it fail."""
    try:
        tree.where(make(path))
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
            raise
        return False
    return True


@pytest.mark.parametrize("target", ["near", "/near"])
@withstands("targets", "a directory exchanged for a link during a lookup")
def test_a_link_put_where_a_directory_is_made_is_not_followed(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """Not even inside: a mount would hide another place than the one that was asked for."""
    (tree.root / "near").mkdir()
    make = os.mkdir

    def be_late(name: bytes, mode: int, *, dir_fd: int) -> None:
        os.symlink(target, name, dir_fd=dir_fd)
        make(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", be_late)
    with pytest.raises(OSError, match="symbolic links"):
        tree.inside.make_directories("made/below")
    assert os.listdir(tree.root / "near") == []
