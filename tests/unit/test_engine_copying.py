"""Where `cp` puts what: Docker's rules, which are those of cp -r."""

import os
import stat

import pytest

from onggi.cli.cp import End
from onggi.cli.options import UsageError
from onggi.engine.copying import Destination, absolute, destination, name_of
from onggi.errors import Conflict, NotFound

FILE, DIRECTORY = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755


@pytest.mark.parametrize(
    ("source", "is_directory", "target", "there", "goes"),
    [
        ("/a/file", False, "/b", DIRECTORY, ("/b", "file")),
        ("/a/file", False, "/b/", DIRECTORY, ("/b/", "file")),
        ("/a/file", False, "/b/new", None, ("/b", "new")),
        ("/a/file", False, "/b/old", FILE, ("/b", "old")),
        ("/a/file", False, "/new", None, ("/", "new")),
        ("/a", True, "/b", DIRECTORY, ("/b", "a")),
        ("/a/", True, "/b", DIRECTORY, ("/b", "a")),
        ("/a/.", True, "/b", DIRECTORY, ("/b", "")),
        ("/", True, "/b", DIRECTORY, ("/b", "")),
        (".", True, "/b", DIRECTORY, ("/b", "")),
        ("/a/..", True, "/b", DIRECTORY, ("/b", "")),
        ("/a", True, "/b/new", None, ("/b", "new")),
        ("/a/.", True, "/b/new/", None, ("/b", "new")),
        ("a/b/../c", True, "/b", DIRECTORY, ("/b", "c")),
    ],
)
def test_what_goes_where(
    source: str, is_directory: bool, target: str, there: int | None, goes: tuple[str, str]
) -> None:
    assert destination(source, is_directory, target, there) == Destination(*goes)


@pytest.mark.parametrize(
    ("is_directory", "target", "there", "kind"),
    [
        (True, "/b", FILE, Conflict),
        (True, "/b/", FILE, Conflict),
        (False, "/b/", FILE, Conflict),
        (False, "/b/", None, NotFound),
        (False, "/b/.", None, NotFound),
    ],
)
def test_what_cannot_go_there(
    is_directory: bool, target: str, there: int | None, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        destination("/a", is_directory, target, there)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/b", "b"), ("/a/b/", "b"), ("/a/b/.", "b"), ("/", ""), ("..", ""), ("a/..", "")],
)
def test_the_name_of_a_path(path: str, name: str) -> None:
    assert name_of(path) == name


@pytest.mark.parametrize(
    ("path", "end"), [(".", "/."), ("x", "/x"), ("x/", "/x/"), ("x/.", "/x/."), ("./x", "/x")]
)
def test_the_end_of_a_path_is_kept(path: str, end: str) -> None:
    assert absolute(path) == os.getcwd() + end


@pytest.mark.parametrize(
    ("text", "container", "path"),
    [
        ("web:/a", "web", "/a"),
        ("web:a:b", "web", "a:b"),
        ("./a:b", "", "./a:b"),
        ("/a:b", "", "/a:b"),
        ("../a:b", "", "../a:b"),
        ("a", "", "a"),
        ("-", "", "-"),
    ],
)
def test_which_end_is_a_containers(text: str, container: str, path: str) -> None:
    end = End(text)
    assert (end.container, end.path) == (container, path)


@pytest.mark.parametrize("text", ["", ":", "web:", ":/a"])
def test_an_end_without_a_path_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        End(text)
