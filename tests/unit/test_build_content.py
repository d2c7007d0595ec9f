"""The context as a tree: finding, walking, digesting; links and ignored files stay out."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.build.content import ContentDigests, entry_digest
from onggi.build.context import read_inputs
from onggi.build.errors import BuildError, DockerfileError
from onggi.build.ignore import make_ignore
from onggi.build.options import BuildOptions
from onggi.build.tree import SourceNotFound, Tree
from onggi.errors import InvalidInput
from onggi.linux.fd import Fd
from onggi.store.workshop import Workshop

# Made at first use only: who reads a directory unpacks nothing.
NOWHERE = Workshop("/nonexistent")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    for name in ("a.py", "b.md", "src/main.py", "src/deep/x.txt", "src/deep/y.md"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "outside").write_text("secret")
    return root


class Opened:
    """A tree with the descriptor it needs."""

    def __init__(self, place: Path, *patterns: str) -> None:
        self.fd = Fd(os.open(place, os.O_RDONLY | os.O_DIRECTORY))
        ignore = make_ignore(patterns, "test")
        self.tree = Tree(self.fd.fileno(), ignore=ignore, owned_by_root=True)

    def found(self, source: str) -> list[str]:
        return [found.path for found in self.tree.find(source)]

    def walked(self, source: str) -> list[str]:
        [found] = self.tree.find(source)
        return [entry.path for entry in self.tree.walk(found)]


@pytest.fixture
def opened(place: Path) -> Iterator[Opened]:
    it = Opened(place)
    yield it
    it.fd.close()


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("a.py", ["a.py"]),
        ("/a.py", ["a.py"]),
        ("./src/", ["src"]),
        (".", [""]),
        ("/", [""]),
        ("src/../a.py", ["a.py"]),
        ("../../../a.py", ["a.py"]),
        ("*", ["a.py", "b.md", "src"]),
        ("*.py", ["a.py"]),
        ("*/main.py", ["src/main.py"]),
        ("s?c/de*/*.txt", ["src/deep/x.txt"]),
        ("**/*.md", ["b.md", "src/deep/y.md"]),
        ("*.none", []),
        ("none/*", []),
    ],
)
def test_finding(opened: Opened, source: str, paths: list[str]) -> None:
    assert opened.found(source) == paths


def test_what_is_not_there(opened: Opened) -> None:
    with pytest.raises(SourceNotFound, match='"/none": not found'):
        opened.found("none")
    with pytest.raises(SourceNotFound):
        opened.found("a.py/x")
    with pytest.raises(BuildError, match="bad pattern"):
        opened.found("[a")


def test_walking_is_in_order(opened: Opened) -> None:
    assert opened.walked("src") == ["", "deep", "deep/x.txt", "deep/y.md", "main.py"]
    assert opened.walked("a.py") == [""]
    assert opened.walked(".")[:3] == ["", "a.py", "b.md"]


def test_links_are_followed_inside_only(place: Path, opened: Opened) -> None:
    (place / "up").symlink_to("../outside")
    (place / "abs").symlink_to("/src/main.py")
    (place / "dir").symlink_to("src/deep")
    with pytest.raises(SourceNotFound):
        opened.found("up")
    [found] = opened.tree.find("abs")
    assert (found.path, found.name) == ("src/main.py", "abs")
    assert opened.found("dir/x.txt") == ["src/deep/x.txt"]
    everything = opened.tree.walk(opened.tree.find(".")[0])
    links = {entry.path: entry.read_link() for entry in everything if entry.is_link}
    assert links == {"up": "../outside", "abs": "/src/main.py", "dir": "src/deep"}


def test_ignored_files_are_not_there(place: Path) -> None:
    it = Opened(place, "*.md", "src/deep", "!src/deep/x.txt")
    with it.fd:
        assert it.walked(".") == ["", "a.py", "src", "src/deep", "src/deep/x.txt", "src/main.py"]
        assert it.found("*") == ["a.py", "src"]
        with pytest.raises(SourceNotFound, match=r"left out by \.dockerignore"):
            it.found("b.md")
        (place / "link").symlink_to("b.md")
        with pytest.raises(SourceNotFound):
            it.found("link")


def test_a_directory_that_is_left_out_whole(place: Path) -> None:
    it = Opened(place, "src", "!a.py")
    with it.fd:
        assert it.walked(".") == ["", "a.py", "b.md"]


def digest(it: Opened, digests: ContentDigests, source: str) -> str:
    [found] = it.tree.find(source)
    [digested] = [entry_digest(entry, digests, True) for entry in it.tree.walk(found)]
    return digested


def test_what_counts_of_a_file(place: Path, opened: Opened) -> None:
    before = digest(opened, ContentDigests(), "a.py")
    os.utime(place / "a.py", (1, 1))
    assert digest(opened, ContentDigests(), "a.py") == before
    (place / "a.py").chmod(0o600)
    changed = digest(opened, ContentDigests(), "a.py")
    assert changed != before
    (place / "a.py").write_text("new")
    assert digest(opened, ContentDigests(), "a.py") != changed


def test_unchanged_files_are_not_read_again(place: Path, opened: Opened, tmp_path: Path) -> None:
    time.sleep(0.15)  # a file younger than the clock's tick is not to be trusted yet
    store = str(tmp_path / "digests.json")
    first = ContentDigests.load(store, "here")
    before = digest(opened, first, "a.py")
    first.save()
    status = (place / "a.py").stat()
    again = ContentDigests.load(store, "here")
    stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
    assert again._known["a.py"][0] == stamp
    again._known["a.py"][1] = "remembered"
    assert digest(opened, again, "a.py") == before.rpartition(" ")[0] + " remembered"


def test_a_file_that_may_still_change_is_not_remembered(
    place: Path, opened: Opened, tmp_path: Path
) -> None:
    (place / "a.py").write_text("new")
    digests = ContentDigests.load(str(tmp_path / "digests.json"), "here")
    digest(opened, digests, "a.py")
    digests.save()
    assert not (tmp_path / "digests.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"source":"there","files":{"a.py":["",""]}}'])
def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "digests.json"
    path.write_text(text)
    assert ContentDigests.load(str(path), "here")._known == {}


def test_what_a_build_begins_with(place: Path) -> None:
    (place / "Dockerfile").write_text("FROM a\n")
    (place / ".dockerignore").write_text("x\n")
    inputs = read_inputs(BuildOptions(context=str(place)), NOWHERE)
    assert (inputs.source.name, inputs.context) == ("Dockerfile", str(place))
    assert inputs.ignore.ignores("x")
    (place / "other").write_text("FROM b\n")
    (place / "other.dockerignore").write_text("y\n")
    inputs = read_inputs(BuildOptions(context=str(place), dockerfile="other"), NOWHERE)
    assert inputs.source.text == "FROM b\n"
    assert inputs.ignore.ignores("y")
    assert not inputs.ignore.ignores("x")


def test_a_dockerfile_in_small_letters(place: Path) -> None:
    (place / "dockerfile").write_text("FROM small\n")
    assert read_inputs(BuildOptions(context=str(place)), NOWHERE).source.text == "FROM small\n"
    (place / "Dockerfile").write_text("FROM usual\n")
    assert read_inputs(BuildOptions(context=str(place)), NOWHERE).source.text == "FROM usual\n"


def test_a_dockerfile_from_standard_input(place: Path) -> None:
    alone = read_inputs(BuildOptions(context="-", stdin=b"FROM a\n"), NOWHERE)
    assert alone.context == ""
    both = read_inputs(BuildOptions(context=str(place), dockerfile="-", stdin=b"FROM a\n"), NOWHERE)
    assert both.context == str(place)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("none", None, "no such file or directory"),
        ("Dockerfile", b"", "cannot be empty"),
        ("Dockerfile", b"FROM a\0", "NUL"),
        ("Dockerfile", b"#" * (5 << 20), "more than"),
        ("src", None, "failed to read dockerfile"),
    ],
)
def test_a_bad_dockerfile(place: Path, name: str, data: bytes | None, message: str) -> None:
    if data is not None:
        (place / name).write_bytes(data)
    with pytest.raises(DockerfileError, match=message):
        read_inputs(BuildOptions(context=str(place), dockerfile=str(place / name)), NOWHERE)


def test_a_context_that_is_none(place: Path) -> None:
    remote = ("https://example.com/repository.git", "git@example.com:repository")
    for context in ("", str(place / "none"), str(place / "a.py"), *remote):
        with pytest.raises(InvalidInput):
            read_inputs(BuildOptions(context=context), NOWHERE)
