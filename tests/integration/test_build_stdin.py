"""Contexts and Dockerfiles that come on standard input."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onggi.build.builder import BuildResult, build
from onggi.build.errors import BuildError, DockerfileError
from onggi.build.options import BuildOptions
from onggi.errors import InvalidInput
from support.builds import Yard, add_base
from support.images import tar_of
from support.requirements import requires

pytestmark = requires("root", "overlayfs")

FILES = {
    "Dockerfile": b"FROM base\nCOPY . /all\n",
    "other/Dockerfile": b"FROM base\nCOPY a.txt /other\n",
    "a.txt": b"a\n",
    "b.md": b"b\n",
    ".dockerignore": b"*.md\n",
}


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    add_base(yard.store)
    yield yard
    yard.close()


def piped(yard: Yard, stdin: bytes, dockerfile: str = "") -> BuildResult:
    """Build what comes through a real pipe."""
    reader, writer = os.pipe()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=writer) as cat:
        os.close(writer)
        assert cat.stdin is not None
        cat.stdin.write(stdin)
        cat.stdin.close()
        with open(reader, "rb") as stream:
            options = BuildOptions(context="-", dockerfile=dockerfile, stdin=stream)
            return build(yard.store, options, yard.executor, yard.events.append)


@pytest.mark.parametrize(
    "compress",
    [lambda tar: tar, gzip.compress, bz2.compress, lzma.compress],
    ids=["plain", "gzip", "bzip2", "xz"],
)
def test_a_context_as_an_archive(yard: Yard, compress: Callable[[bytes], bytes]) -> None:
    archive = compress(tar_of(FILES))
    with yard.root(piped(yard, archive)) as root:
        assert root.list("/all") == [".dockerignore", "Dockerfile", "a.txt", "other"]
    with yard.root(piped(yard, archive, "other/Dockerfile")) as root:
        assert root.read("/other") == "a\n"
    assert os.listdir(yard.store.workshop.path) == [], "nothing is kept of the archive"


def test_the_same_archive_is_cached(yard: Yard) -> None:
    first = piped(yard, tar_of(FILES))
    yard.events.clear()
    assert piped(yard, tar_of(FILES)).image_id == first.image_id
    assert yard.whys == []
    piped(yard, tar_of({**FILES, "a.txt": b"new\n"}))
    assert yard.whys == ["a.txt changed"]


def test_a_dockerfile_alone(yard: Yard) -> None:
    with yard.root(piped(yard, b"FROM base\nCOPY <<E /x\nhi\nE\n")) as root:
        assert root.read("/x") == "hi\n"
    long = b"# a comment longer than a tar's block\n" * 100
    assert piped(yard, long + b"FROM base\n").image.layers


def test_links_in_an_archive_do_not_lead_out(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("FROM base\nENV host=secret\n")
    link = tarfile.TarInfo("Dockerfile")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
    with pytest.raises(DockerfileError, match="no such file") as caught:
        piped(yard, tar_of([("Dockerfile", link)]))
    assert "secret" not in caught.value.excerpt
    ignore = tarfile.TarInfo(".dockerignore")
    ignore.type, ignore.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
    with pytest.raises(DockerfileError, match="no such file"):
        piped(yard, tar_of([("Dockerfile", b"FROM base\n"), (".dockerignore", ignore)]))


def test_a_fifo_for_a_dockerfile_does_not_make_us_wait(yard: Yard) -> None:
    fifo = tarfile.TarInfo("Dockerfile")
    fifo.type = tarfile.FIFOTYPE
    with pytest.raises(DockerfileError, match="is not a file"):
        piped(yard, tar_of([("Dockerfile", fifo)]))


@pytest.mark.parametrize(
    ("stdin", "dockerfile", "message"),
    [
        (tar_of({"a": b""}), "", "open Dockerfile: no such file"),
        (tar_of(FILES), "-", "both the context and the Dockerfile"),
        (tar_of(FILES)[:700], "", "archive"),
        (gzip.compress(b"no tar"), "", "neither a Dockerfile nor a tar"),
        (b"FROM base\n", "some/file", "a Dockerfile already"),
        (b"", "", "cannot be empty"),
        (b"\0" * 1024, "", "NUL"),
    ],
)
def test_what_is_refused(yard: Yard, stdin: bytes, dockerfile: str, message: str) -> None:
    with pytest.raises((BuildError, InvalidInput), match=message):
        build(
            yard.store,
            BuildOptions(context="-", dockerfile=dockerfile, stdin=io.BytesIO(stdin)),
            yard.executor,
        )
