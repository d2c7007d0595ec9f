"""Archives and image documents that ask for too much, or for what is not theirs."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from onggi.build.errors import BuildError
from onggi.build.ownership import resolve_owner
from onggi.build.rootfs import open_root
from onggi.errors import Conflict, Corrupt, InvalidInput, OnggiError
from onggi.image import images
from onggi.image.archive_load import load_archive
from onggi.image.compression import decompressed_chunks
from onggi.linux.fd import Fd
from onggi.linux.path import Inside
from onggi.oci.document import SIZE_LIMIT, parse
from onggi.store.merge import Found, View
from onggi.store.store import Store
from onggi.store.tar_limits import ArchiveRefused, Limits
from onggi.store.tar_read import MOST_EXTENSIONS
from onggi.store.tar_write import tree_archive
from support.box import Box
from support.builds import Yard, add_busybox
from support.images import Made, layout, tar_of
from support.layers import archive, unpack
from support.programs import compiled
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "overlayfs", "busybox", "compiler")

SMALL = Limits(ratio_free_bytes=1 << 20, ratio=50)


@pytest.fixture
def store(root_dir: Path) -> Iterator[Store]:
    with Store(str(root_dir), durable=False) as opened:
        yield opened


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


@withstands("bombs", "gzip and zstd", "xz and bzip2, in ADD")
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_little_does_not_become_much(compress: Callable[[bytes], bytes]) -> None:
    """Whatever a stream of a few bytes would become, only a bounded part of it ever exists."""
    bomb = compress(bytes(64 << 20))
    with pytest.raises(ArchiveRefused, match="compressed bytes became"):
        for _ in decompressed_chunks(io.BytesIO(bomb), SMALL):
            pass
    with pytest.raises(ArchiveRefused, match="more than"):
        for _ in decompressed_chunks(io.BytesIO(bomb), Limits(total_bytes=8 << 20)):
            pass


@withstands("bombs", "xz and bzip2, in ADD")
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_never_whole_in_memory(compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(200 << 20))
    tracemalloc.start()
    try:
        size = sum(map(len, decompressed_chunks(io.BytesIO(bomb))))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == 200 << 20
    assert most < 40 << 20


def xz_that_asks_for(memory: int) -> bytes:
    """Make a stream whose dictionary is as large as said; hardly any of it would be used."""
    data = bytearray(lzma.compress(b"small", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}]))
    # .xz format 3.1: the block header follows the stream's twelve bytes; 5.3.1: the dictionary.
    bits = next(bits for bits in range(41) if (2 | bits & 1) << (bits // 2 + 11) >= memory)
    data[12 + 4] = bits
    data[12 + 8 : 12 + 12] = zlib.crc32(data[12 : 12 + 8]).to_bytes(4, "little")
    return bytes(data)


@withstands("bombs", "an xz stream that asks for gigabytes of memory")
def test_a_stream_cannot_ask_for_all_memory() -> None:
    modest = decompressed_chunks(io.BytesIO(xz_that_asks_for(64 << 20)))
    assert b"".join(modest) == b"small"
    greedy = decompressed_chunks(io.BytesIO(xz_that_asks_for(3 << 30)))
    with pytest.raises(Corrupt, match="damaged xz stream"):
        list(greedy)


def test_streams_may_follow_one_another() -> None:
    for compress in (bz2.compress, lzma.compress, gzip.compress):
        data = compress(b"one") + compress(b"two")
        assert b"".join(decompressed_chunks(io.BytesIO(data))) == b"onetwo"
        with pytest.raises(Corrupt):
            list(decompressed_chunks(io.BytesIO(data[:-7])))


def extension(kind: bytes, data: bytes) -> bytes:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = kind, len(data)
    return info.tobuf() + data.ljust(-(-len(data) // 512) * 512, b"\0")


@withstands("bombs", "extended headers without end")
@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_extended_headers_come_to_an_end(store: Store, kind: bytes) -> None:
    data = extension(kind, b"12 a=bcdefg\n"[:12] if kind in b"xg" else b"name\0")
    entry = archive(("file", b"contents"))
    unpack(store, data * (MOST_EXTENSIONS - 1) + entry)
    with pytest.raises(ArchiveRefused, match="extended headers in a row"):
        unpack(store, data * (MOST_EXTENSIONS + 1) + entry)
    with pytest.raises(OnggiError, match="extended headers in a row"):
        load_archive(store, io.BytesIO(data * (MOST_EXTENSIONS + 1) + entry))


@withstands("names", "extended attributes that are overlayfs's own")
@pytest.mark.parametrize(
    "name", ["opaque", "redirect", "metacopy", "origin", "whiteout", "upper", "overlay.opaque"]
)
def test_a_layer_cannot_speak_to_overlayfs(store: Store, name: str) -> None:
    """A forged redirect would show files of layers that the image does not have."""
    info = tarfile.TarInfo("d")
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    info.pax_headers = {f"SCHILY.xattr.trusted.overlay.{name}": "/etc"}
    with pytest.raises(ArchiveRefused, match="overlayfs's own"):
        unpack(store, archive(info))
    assert os.listdir(f"{store.root}/layers") == []


@withstands("names", "extended attributes that are overlayfs's own")
def test_an_archive_that_is_added_cannot_speak_to_overlayfs(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    try:
        add_busybox(yard.store)
        info = tarfile.TarInfo("d")
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        info.pax_headers = {"SCHILY.xattr.trusted.overlay.redirect": "/etc"}
        (yard.context / "a.tar").write_bytes(archive(info))
        os.mkdir(yard.context / "tree")
        os.setxattr(yard.context / "tree", "trusted.overlay.opaque", b"y")
        with pytest.raises(OnggiError, match="overlayfs's own"):
            yard.build("FROM busybox\nADD a.tar /x/\n")
        result = yard.build("FROM busybox\nRUN mkdir /tree && touch /tree/below\nCOPY tree /tree\n")
        with yard.root(result) as root:
            assert root.exists("/tree/below")
    finally:
        yard.close()


@withstands("names", "names that disturb a terminal")
def test_a_refusal_shows_no_control_characters(store: Store) -> None:
    hostile = tarfile.TarInfo("\x1b[2J\x1b]0;owned\x07/../../x\n\r")
    with pytest.raises(InvalidInput) as caught:
        unpack(store, archive(hostile))
    assert not any(ord(character) < 32 for character in str(caught.value))


@withstands("bombs", "documents that are huge or nested without end")
@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "[" * 1_000_000,
        '{"a":' + "[" * 500_000,
        '{"a":' + "9" * 100_000 + "}",
        '{"a":1e' + "9" * 100 + "}",
        '{"a":"' + "\\ud800" * 1000 + '"}',
        '{"a":"' + "x" * SIZE_LIMIT + '"}',
        '{"a":1,"a":2}',
        '{"a":NaN}',
        "{" + ",".join(f'"{number}":[]' for number in range(500_000)) + "}",
    ],
    ids=range(10),
)
def test_documents_end_in_a_clear_error(text: str) -> None:
    began = time.monotonic()
    complaint = complaint_of(text)
    assert len(complaint) < 1000
    assert time.monotonic() - began < 10


def complaint_of(text: str) -> str:
    """Parse, and return what was wrong; anything but that one error is a failure."""
    try:
        parse(text.encode(), "image config")
    except Corrupt as error:
        return str(error)
    return ""


@withstands("bombs", "more layers than the kernel can stack")
def test_too_many_layers_are_no_image(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(images, "MOST_LAYERS", 10_000)
        many = Made(*[archive()] * (images.MOST_LAYERS // 10))
    data = tar_of(layout(many))
    assert images.MOST_LAYERS == 499
    with pytest.raises(Corrupt, match="layers, more than"):
        load_archive(store, io.BytesIO(data))
    assert os.listdir(f"{store.root}/layers") == []


SWAP = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
    time_t end = time(0) + PATIENCE;
    long count = 0;
    mkdir("/r", 0755); mkdir("/r/d", 0755);
    close(open("/r/d/secret", O_CREAT | O_WRONLY, 0644));
    close(open("/r/f", O_CREAT | O_WRONLY, 0644));
    symlink(argv[1], "/r/l");
    char path[4096];
    snprintf(path, sizeof path, "%s/secret", argv[1]);
    symlink(path, "/r/m");
    while (time(0) < end && access("/stop", F_OK)) {
        syscall(SYS_renameat2, AT_FDCWD, "/r/d", AT_FDCWD, "/r/l", 2);
        syscall(SYS_renameat2, AT_FDCWD, "/r/f", AT_FDCWD, "/r/m", 2);
        count++;
    }
    printf("%ld\n", count);
    return 0;
}
"""


@withstands("names", "a running container that exchanges its files while they are exported")
@pytest.mark.time_limit(180)
def test_what_is_exported_is_the_container_s(box: Box, tmp_path: Path) -> None:
    """CVE-2018-15664: docker cp walked to names that the container exchanged for links."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("OUTSIDE-OF-THE-CONTAINER")
    program = compiled(SWAP, tmp_path)
    container = box.up("-v", f"{program}:/swap:ro", command=("/swap", str(outside)))
    out = tmp_path / "out.tar"
    out.touch()
    for _ in range(8):
        done = box.attempt("export", "-o", str(out), container)
        assert done.returncode == 0 or "became something else" in done.stderr
        assert b"OUTSIDE-OF-THE" not in out.read_bytes()
        box("diff", container)
    box.inside(container, "touch /stop")
    box("wait", container)
    assert int(box("logs", container).stdout) > 100, "the race was never on"


@withstands("names", "a passwd file that is a link, a fifo or endless")
@pytest.mark.parametrize("kind", ["link", "fifo", "endless"])
def test_a_passwd_file_is_data_of_the_container(box: Box, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("owner:x:4242:4242::/:/bin/sh\n")
    script = {
        "link": f"ln -sf {secret} /etc/passwd",
        "fifo": "rm /etc/passwd; mkfifo /etc/passwd",
        "endless": "truncate -s 300G /etc/passwd",
    }[kind]
    container = box.up()
    box.inside(container, script)
    began = time.monotonic()
    done = box.attempt("exec", "--user", "owner", container, "id")
    assert done.returncode != 0
    assert "4242" not in done.stdout
    assert time.monotonic() - began < 20


class Opened:
    """Tells whether anybody opens a fifo for reading: only then can it be opened for writing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        time.sleep(0.1)  # until it waits, as one that comes later would not be let in
        return self

    def _write(self) -> None:
        os.close(os.open(self._path, os.O_WRONLY))

    def is_so(self) -> bool:
        """Tell whether it has been opened by now."""
        self._thread.join(0.2)
        return not self._thread.is_alive()

    def __exit__(self, *_: object) -> None:
        os.close(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK))
        self._thread.join(5)


@withstands(
    "names",
    "devices and fifos where a file is read, which to open is to use",
    "a running container that exchanges its files while they are exported",
)
@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_a_file_that_became_something_else_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A container may make a node of the host's watchdog; whoever opens that has begun to count."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("contents")
    assert b"contents" in b"".join(tree_archive([str(tree)]))
    (tmp_path / "outside").write_text("secret")
    find = View.find

    def find_and_exchange(self: View, name: bytes) -> Found | None:
        found = find(self, name)
        (tree / "file").unlink()
        if kind == "link":
            (tree / "file").symlink_to(tmp_path / "outside")
        else:
            os.mkfifo(tree / "file")
            watches.append(stack.enter_context(Opened(tree / "file")))
        return found

    monkeypatch.setattr(View, "find", find_and_exchange)
    watches: list[Opened] = []
    with ExitStack() as stack:
        with pytest.raises(Conflict, match="something else"):
            b"".join(tree_archive([str(tree)]))
        assert not any(opened.is_so() for opened in watches)


@withstands("names", "devices and fifos where a file is read, which to open is to use")
@pytest.mark.parametrize("name", ["etc/passwd", "etc/group"])
def test_an_image_s_accounts_are_files_or_not_there(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("app:x:1:1::/:/bin/sh\n")
    (root / "etc/group").write_text("app:x:1:\n")
    (root / name).unlink()
    os.mkfifo(root / name)
    with Fd(os.open(root, os.O_RDONLY)) as directory, Opened(root / name) as opened:
        with pytest.raises(BuildError, match="unable to find"):
            resolve_owner("app:app", Inside(directory))
        assert not opened.is_so()


@withstands("names", "devices and fifos where a file is read, which to open is to use")
@withstands("builds", "a Dockerfile or ignore file that is a fifo or a device")
@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_a_context_from_an_archive_is_read_from_files(box: Box, name: str) -> None:
    """An archive can hold nodes of any device: a disk's would be read as a Dockerfile."""
    members = {"Dockerfile": tarfile.TarInfo("Dockerfile"), name: tarfile.TarInfo(name)}
    device = members[name]
    device.type, device.devmajor, device.devminor = tarfile.CHRTYPE, 1, 5
    text = b"FROM busybox\n"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archived:
        for member in members.values():
            member.size = 0 if member is device else len(text)
            archived.addfile(member, io.BytesIO(text))
    line = box.line("build", "-")
    done = subprocess.run(line, input=out.getvalue(), capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    assert b"is not a file" in done.stderr, done.stderr


@withstands("names", "devices and fifos where a file is read, which to open is to use")
def test_a_build_s_own_look_at_a_root_opens_no_device(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    try:
        add_busybox(yard.store)
        info = tarfile.TarInfo("zero")
        info.type, info.devmajor, info.devminor, info.mode = tarfile.CHRTYPE, 1, 5, 0o666
        (yard.context / "a.tar").write_bytes(archive(info))
        result = yard.build("FROM busybox\nADD a.tar /\n")
        mounts = yard.store.snapshots.view(result.image.diff_ids)
        with open_root(mounts, yard.store.workshop) as root, pytest.raises(PermissionError):
            os.close(os.open("zero", os.O_RDONLY, dir_fd=root.fileno()))
    finally:
        yard.close()
