"""ADD: archives told by their contents, and URLs."""

import bz2
import contextlib
import gzip
import http.server
import lzma
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onggi.build.errors import BuildError
from onggi.oci.digest import Digest
from support.builds import Yard, add_base
from support.images import tar_of
from support.requirements import requires

pytestmark = requires("root", "overlayfs")

ARCHIVE = tar_of({"one": b"1\n", "dir/two": b"2\n"})
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    add_base(yard.store)
    yield yard
    yard.close()


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_an_archive_is_unpacked_whatever_its_name(yard: Yard, kind: str) -> None:
    yard.write({"data": COMPRESSORS[kind](ARCHIVE)})
    result = yard.build("FROM base\nADD data /to\n")
    with yard.root(result) as root:
        assert root.list("/to") == ["dir", "one"]
        assert root.read("/to/dir/two") == "2\n"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("ADD --unpack=false data /to/", "/to/data"),
        ("COPY data /to/", "/to/data"),
        ("ADD plain /to/", "/to/plain"),
        ("ADD gzipped /to/", "/to/gzipped"),
        ("ADD empty /to/", "/to/empty"),
    ],
)
def test_what_is_not_unpacked(yard: Yard, line: str, name: str) -> None:
    yard.write(
        {"data": ARCHIVE, "plain": "x" * 2000, "gzipped": gzip.compress(b"text"), "empty": ""}
    )
    result = yard.build(f"FROM base\n{line}\n")
    with yard.root(result) as root:
        assert stat.S_ISREG(root.stat(name).st_mode)


def test_an_archive_goes_into_what_is_there(yard: Yard) -> None:
    yard.write({"data": tar_of({"passwd": b"mine\n", "new": b"n\n"})})
    result = yard.build("FROM base\nADD --chown=5:6 data /etc/\n")
    with yard.root(result) as root:
        assert root.read("/etc/passwd") == "mine\n"
        assert root.exists("/etc/group")
        assert (root.stat("/etc/new").st_uid, root.stat("/etc/new").st_gid) == (5, 6)
        assert root.stat("/etc").st_uid == 0


def member(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "archive",
    [
        tar_of({"../../escaped": b"x"}),
        tar_of({"a": b"x", ".wh.passwd": b""}),
        tar_of([("l", member("l", tarfile.LNKTYPE, "/etc/none"))]),
        tar_of({"a": b"x" * 2000})[:1500],
    ],
    ids=["climbs", "whiteout", "link to nothing", "cut off"],
)
def test_bad_archives_are_refused(yard: Yard, archive: bytes) -> None:
    yard.write({"data": archive})
    with pytest.raises(BuildError) as caught:
        yard.build("FROM base\nADD data /etc/\n")
    assert caught.value.excerpt.startswith("Dockerfile:2\n")


def test_links_in_an_archive_stay_inside(yard: Yard, tmp_path: Path) -> None:
    archive = tar_of(
        [
            ("l", member("l", tarfile.SYMTYPE, str(tmp_path))),
            ("l/escaped", b"x"),
        ]
    )
    yard.write({"data": archive})
    (tmp_path / "escaped").unlink(missing_ok=True)
    with contextlib.suppress(BuildError):  # refusing is as good as staying inside
        yard.build("FROM base\nADD data /\n")
    assert not (tmp_path / "escaped").exists()


class Files(http.server.BaseHTTPRequestHandler):
    """A few answers, and how often they were asked for."""

    asked = 0

    def do_GET(self) -> None:
        Files.asked += 1
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file.txt")
            self.end_headers()
            return
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        if self.path != "/file.txt":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.send_header("Last-Modified", "Thu, 01 Jan 1970 00:00:09 GMT")
        self.end_headers()
        self.wfile.write(b"data\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Files.asked = 0
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_url(yard: Yard, url: str) -> None:
    result = yard.build(f"FROM base\nADD {url}/file.txt /to/\nADD {url}/moved /moved\n")
    with yard.root(result) as root:
        assert root.read("/to/file.txt") == root.read("/moved") == "data\n"
        assert stat.S_IMODE(root.stat("/moved").st_mode) == 0o600
        assert root.stat("/moved").st_mtime == 9
    yard.build(f"FROM base\nADD {url}/file.txt /to/\nADD {url}/moved /moved\n")
    assert yard.whys == []


def test_a_checksum(yard: Yard, url: str) -> None:
    good = Digest.of(b"data\n")
    yard.build(f"FROM base\nADD --checksum={good} {url}/file.txt /x\n")
    asked = Files.asked
    yard.build(f"FROM base\nADD --checksum={good} {url}/file.txt /x\n")
    assert yard.whys == []
    assert Files.asked == asked
    with pytest.raises(BuildError, match="digest mismatch"):
        yard.build(f"FROM base\nADD --checksum={Digest.of(b'')} {url}/file.txt /x\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ADD {}/none /x", "Not Found"),
        ("ADD {}/away /x", "is not allowed"),
        ("ADD http://127.0.0.1:1/x /x", "http://127.0.0.1:1/x: connection refused"),
        ("ADD --checksum=sha256:0 {}/file.txt /x", "invalid digest"),
        ("ADD https://example.invalid/repo.git /x", "git repositories are not supported yet"),
        ("ADD git@example.invalid:repo /x", "git repositories are not supported yet"),
        ("ADD --checksum=sha256:{} data /x", "checksum requires HTTP(S) sources"),
    ],
)
def test_urls_that_are_refused(yard: Yard, url: str, line: str, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        yard.build(f"FROM base\n{line.format(url)}\n")
    assert message in str(caught.value)
    assert caught.value.excerpt.startswith("Dockerfile:2\n")
