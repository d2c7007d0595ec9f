"""COPY and WORKDIR on a real store: where things go, whose they are, what is refused."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.build.errors import BuildError, DockerfileError
from support.builds import Yard, add_base
from support.requirements import requires

pytestmark = requires("root", "overlayfs")


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    add_base(yard.store)
    yard.write({"a.txt": "a\n", "b.txt": "b\n", "d/x": "x\n", "d/e/y": "y\n"})
    (yard.context / "broken").symlink_to("no")
    yield yard
    yard.close()


@pytest.mark.parametrize(
    ("line", "paths"),
    [
        ("COPY a.txt /", ["/a.txt"]),
        ("COPY a.txt /new", ["/new"]),
        ("COPY a.txt /new/", ["/new/a.txt"]),
        ("COPY a.txt /etc", ["/etc/a.txt"]),
        ("COPY a.txt /x/y/z", ["/x/y/z"]),
        ("COPY a.txt b.txt /new/", ["/new/a.txt", "/new/b.txt"]),
        ("COPY a.txt b.txt /etc", ["/etc/a.txt", "/etc/b.txt"]),
        ("COPY *.txt /new/", ["/new/a.txt", "/new/b.txt"]),
        ("COPY *.none /new/", []),
        ("COPY d /new", ["/new/x", "/new/e/y"]),
        ("COPY d /new/", ["/new/x", "/new/e/y"]),
        ("COPY d/ /etc", ["/etc/x", "/etc/e/y", "/etc/passwd"]),
        ("COPY d a.txt /new/", ["/new/x", "/new/e/y", "/new/a.txt"]),
        ('COPY ["a.txt", "/with blank/"]', ["/with blank/a.txt"]),
        ("COPY . /all", ["/all/a.txt", "/all/d/e/y"]),
        ("WORKDIR /w\nCOPY a.txt .", ["/w/a.txt"]),
        ("WORKDIR /w\nCOPY a.txt ./", ["/w/a.txt"]),
        ("WORKDIR /w\nCOPY a.txt sub/name", ["/w/sub/name"]),
        ("WORKDIR /w\nWORKDIR v\nCOPY d ..", ["/w/x", "/w/e/y", "/w/v"]),
        ("COPY --exclude=e --exclude=*.txt . /n", ["/n/d/x", "!/n/a.txt", "!/n/d/zz"]),
        ("COPY --exclude=**/y d /n", ["/n/x", "/n/e", "!/n/e/y"]),
        ("COPY --parents d/e/y a.txt /p/", ["/p/d/e/y", "/p/a.txt"]),
        ("COPY --parents d/./e/y /p/", ["/p/e/y"]),
        ("COPY --parents **/y /p/", ["/p/d/e/y"]),
        ("COPY --parents ./d/./**/y a.txt /p/", ["/p/e/y", "/p/a.txt"]),
        ("COPY <<one <<two /doc/\n1\none\n2\ntwo", ["/doc/one", "/doc/two"]),
        ("COPY <<one /doc\n1\none", ["/doc"]),
        ("COPY --link d /etc/", ["/etc/x", "/etc/passwd"]),
    ],
)
def test_where_things_go(yard: Yard, line: str, paths: list[str]) -> None:
    result = yard.build(f"FROM base\n{line}\n")
    with yard.root(result) as root:
        for path in paths:
            assert root.exists(path.lstrip("!")) is not path.startswith("!"), path


def test_contents_permissions_times_and_owners(yard: Yard) -> None:
    path = yard.context / "a.txt"
    path.chmod(0o640)
    os.chown(path, 33, 33)
    os.utime(path, (5, 5))
    (yard.context / "d").chmod(0o700)
    result = yard.build("FROM base\nCOPY a.txt /x\nCOPY d /y\n")
    with yard.root(result) as root:
        status = root.stat("/x")
        assert root.read("/x") == "a\n"
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 0, 0)
        assert status.st_mtime == 5
        assert stat.S_IMODE(root.stat("/y").st_mode) == 0o700


def test_chown_and_chmod(yard: Yard) -> None:
    result = yard.build(
        "FROM base\nARG who=app\n"
        "COPY --chown=$who:staff --chmod=u=rwX,go=rX d /new/deep\n"
        "COPY --chown=5 a.txt /\nCOPY --chmod=4755 b.txt /\n"
    )
    with yard.root(result) as root:
        for path, mode in (("/new/deep", 0o755), ("/new/deep/e", 0o755), ("/new/deep/x", 0o644)):
            status = root.stat(path)
            assert (status.st_uid, status.st_gid) == (1000, 50)
            assert stat.S_IMODE(status.st_mode) == mode
        assert root.stat("/new").st_uid == 1000
        assert (root.stat("/a.txt").st_uid, root.stat("/a.txt").st_gid) == (5, 5)
        assert stat.S_IMODE(root.stat("/b.txt").st_mode) == 0o4755


def test_a_private_context_does_not_make_a_private_image(yard: Yard) -> None:
    yard.context.chmod(0o700)
    (yard.context / "d").chmod(0o710)
    result = yard.build("FROM base\nCOPY . /all\nCOPY d /d\n")
    with yard.root(result) as root:
        assert stat.S_IMODE(root.stat("/all").st_mode) == 0o755
        assert stat.S_IMODE(root.stat("/d").st_mode) == 0o710
    yard.context.chmod(0o755)
    yard.build("FROM base\nCOPY . /all\nCOPY d /d\n")
    assert yard.whys == []


def test_names_that_are_no_text(yard: Yard) -> None:
    odd = os.fsencode(yard.context) + b"/d/\xff\n"
    Path(os.fsdecode(odd)).write_text("odd")
    lines = "FROM base AS x\nCOPY d /d\nCOPY <<E /doc\n\udcff\nE\nFROM base\nCOPY --from=x / /all\n"
    for _ in range(2):
        result = yard.build_bytes(lines.encode("utf-8", "surrogateescape"))
        with yard.root(result) as root:
            assert root.list("/all/d") == ["e", "x", "\udcff\n"]
            assert root.read("/all/doc", errors="surrogateescape") == "\udcff\n"
    assert yard.whys == []


def test_a_directory_that_exists_keeps_its_attributes(yard: Yard) -> None:
    (yard.context / "d").chmod(0o700)
    result = yard.build("FROM base\nCOPY --chown=7 d /etc/\n")
    with yard.root(result) as root:
        assert stat.S_IMODE(root.stat("/etc").st_mode) == 0o755
        assert root.stat("/etc").st_uid == 0
        assert root.stat("/etc/e").st_uid == 7


def test_links_are_copied_and_named_ones_followed(yard: Yard) -> None:
    (yard.context / "d/link").symlink_to("x")
    (yard.context / "named").symlink_to("d/x")
    result = yard.build("FROM base\nCOPY d /y\nCOPY named /z/\n")
    with yard.root(result) as root:
        assert stat.S_ISLNK(root.stat("/y/link").st_mode)
        assert stat.S_ISREG(root.stat("/z/named").st_mode)


def test_from_a_stage_and_from_an_image(yard: Yard) -> None:
    result = yard.build(
        "FROM base AS one\nCOPY --chown=5:6 a.txt /out/\n"
        "FROM scratch\nCOPY --from=one /out/ /o/\nCOPY --from=base /etc/motd /\n"
        "COPY --from=one /out/a.txt /renamed\n"
    )
    with yard.root(result) as root:
        assert root.read("/motd") == "hello\n"
        assert (root.stat("/o/a.txt").st_uid, root.stat("/o/a.txt").st_gid) == (5, 6)
        assert root.read("/renamed") == "a\n"
        assert root.list() == ["motd", "o", "renamed"]


def test_hard_links_and_attributes_of_a_stage_survive(yard: Yard) -> None:
    os.link(yard.context / "d/x", yard.context / "d/same")
    os.setxattr(yard.context / "d/x", "user.note", b"kept")
    result = yard.build("FROM base AS one\nCOPY d /y\nFROM scratch\nCOPY --from=one /y /z\n")
    with yard.root(result) as root:
        assert root.stat("/z/x").st_ino == root.stat("/z/same").st_ino
        assert root.stat("/z/x").st_nlink == 2


def test_documents_expand_unless_quoted(yard: Yard) -> None:
    result = yard.build(
        "FROM base\nENV x=value\n"
        "COPY <<one <<'two' <<-three /doc/\nit's \"$x\"\none\n$x\ntwo\n\ttab\n\tthree\n"
    )
    with yard.root(result) as root:
        assert root.read("/doc/one") == 'it\'s "value"\n'
        assert root.read("/doc/two") == "$x\n"
        assert root.read("/doc/three") == "tab\n"
        assert stat.S_IMODE(root.stat("/doc/one").st_mode) == 0o644


def test_a_working_directory_is_made_for_its_user(yard: Yard) -> None:
    result = yard.build("FROM base\nUSER app\nWORKDIR /srv/app\nWORKDIR /\n")
    with yard.root(result) as root:
        assert root.stat("/srv/app").st_uid == 1000
        assert stat.S_IMODE(root.stat("/srv").st_mode) == 0o755
    assert result.image.config.working_dir == "/"


def test_the_same_layer_twice(yard: Yard) -> None:
    result = yard.build("FROM base\nCOPY a.txt /x\nCOPY b.txt /x\nCOPY a.txt /x\n")
    with yard.root(result) as root:
        assert root.read("/x") == "a\n"
    assert len(result.image.layers) == 4


def test_a_step_that_changes_nothing_makes_no_layer(yard: Yard) -> None:
    result = yard.build("FROM base\nWORKDIR /etc\nCOPY *.none /\n")
    assert len(result.image.layers) == 1
    assert [entry.empty_layer for entry in result.image.config.history] == [False, True, True]


@pytest.mark.parametrize(
    ("lines", "message", "line"),
    [
        ("FROM base\nCOPY none /\n", '"/none": not found', 2),
        ("FROM base\n\nCOPY a.txt b.txt /new\n", "must be a directory and end with a /", 3),
        ("FROM base\nCOPY d /etc/motd\n", "cannot copy to non-directory: /etc/motd", 2),
        ("FROM base\nCOPY --chown=who a.txt /\n", "unable to find user who", 2),
        ("FROM base\nCOPY --chmod=999 a.txt /\n", "invalid chmod parameter", 2),
        ("FROM base\nCOPY http://x/y /\n", "source can't be a URL for COPY", 2),
        ("FROM base\nCOPY --from=missing /a /\n", "no such image: missing", 2),
        ("FROM base\nCOPY broken /\n", "it is a link, and what it leads to is not in there: no", 2),
        ("FROM base\nCOPY ../a /\n", "nothing above the build context", 2),
        ("FROM base\nCOPY a.txt /etc/motd/\n", "cannot make directory /etc/motd", 2),
        ("FROM missing\n", "no such image: missing", 1),
        ("FROM base AS x\nFROM base\nCOPY --from=x /none /\n", '"/none": not found', 3),
        ("FROM base\nWORKDIR /etc/motd\n", "cannot make directory /etc/motd", 2),
        ("FROM base\nWORKDIR /etc/motd/x\n", "cannot make directory /etc/motd/x", 2),
        ("FROM base\nENV x=${y:?needed}\n", "y: needed", 2),
    ],
)
def test_refusals_show_the_place(yard: Yard, lines: str, message: str, line: int) -> None:
    with pytest.raises(BuildError) as caught:
        yard.build(lines)
    assert message in str(caught.value)
    assert caught.value.exit_code == 1
    assert caught.value.excerpt.startswith(f"Dockerfile:{line}\n")
    assert f" {line} | >>> {lines.splitlines()[line - 1]}" in caught.value.excerpt


def test_a_file_cannot_replace_a_directory(yard: Yard) -> None:
    yard.write({"m/etc": "a file"})
    with pytest.raises(BuildError, match="cannot replace directory /etc"):
        yard.build("FROM base\nCOPY m /\n")


def test_what_is_ignored_is_not_there(yard: Yard) -> None:
    yard.write({".dockerignore": "*.txt\n!b.txt\nd/e\nDockerfile\n", "Dockerfile": ""})
    result = yard.build("FROM base\nCOPY . /all\n")
    with yard.root(result) as root:
        assert root.list("/all") == [".dockerignore", "b.txt", "broken", "d"]
        assert root.list("/all/d") == ["x"]
    with pytest.raises(BuildError, match=r"left out by \.dockerignore"):
        yard.build("FROM base\nCOPY a.txt /\n")


def test_a_build_without_a_context(yard: Yard) -> None:
    yard.context = Path("-")
    result = yard.build("FROM base\nCOPY <<E /x\nhi\nE\n")
    with yard.root(result) as root:
        assert root.read("/x") == "hi\n"
    with pytest.raises(BuildError, match="not found"):
        yard.build("FROM base\nCOPY a.txt /\n")


def test_triggers_of_the_base_image(yard: Yard) -> None:
    yard.build("FROM base\nONBUILD COPY a.txt /triggered\nONBUILD ENV a=b\n", tags=["parent"])
    result = yard.build("FROM parent\nCOPY b.txt /\n")
    with yard.root(result) as root:
        assert root.exists("/triggered")
    assert "a=b" in result.image.config.env
    assert result.image.config.onbuild == ()
    assert yard.titles[1] == "[2/3] ONBUILD COPY a.txt /triggered"


def test_maintainer_and_unused_arguments_are_warned_of(yard: Yard) -> None:
    result = yard.build("FROM base\nMAINTAINER me\n", args={"unused": "1", "HTTP_PROXY": "x"})
    assert result.image.config.author == "me"
    assert yard.warnings == [
        "one or more build args were not consumed: unused",
        "MAINTAINER is deprecated; use LABEL org.opencontainers.image.authors",
    ]


def test_tags_labels_target(yard: Yard) -> None:
    text = "FROM base AS one\nLABEL a=1 b=1\nFROM base AS two\nCOPY a.txt /\n"
    result = yard.build(text, tags=["x:1", "x:2"], target="one", labels={"a": "2"})
    assert result.image.config.labels == {"a": "2", "b": "1"}
    assert {str(name) for name, _ in yard.store.references.list() if name} >= {
        "docker.io/library/x:1",
        "docker.io/library/x:2",
    }
    with pytest.raises(DockerfileError, match="could not be found"):
        yard.build(text, target="three")
