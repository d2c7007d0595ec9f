"""Archives as attackers write them: nothing is looked up outside, and nothing read twice."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from onggi.errors import Corrupt
from onggi.image.archive_members import DirectoryMembers, MemberNotFound, plain_name, read_member
from onggi.image.archive_tar import TarMembers
from support.images import link, tar_of
from support.threats import withstands


def members(data: bytes) -> TarMembers:
    return TarMembers(io.BytesIO(data))


def read(archive: TarMembers | DirectoryMembers, name: str) -> bytes:
    return read_member(archive, name, 1 << 20)


def test_members_by_name() -> None:
    archive = members(tar_of({"./a": b"one", "b/c": b"x" * 1000, "empty": b""}))
    assert (read(archive, "a"), read(archive, "empty")) == (b"one", b"")
    assert (archive.size("b/c"), read(archive, "b/c")) == (1000, b"x" * 1000)
    assert archive.has("a")
    assert not archive.has("b")
    with pytest.raises(MemberNotFound, match="archive has no 'z'"):
        archive.open("z")


def test_two_members_are_read_alternately() -> None:
    archive = members(tar_of({"a": b"a" * 200_000, "b": b"b" * 200_000}))
    with archive.open("a") as one, archive.open("b") as two:
        assert one.read(3) + two.read(3) + one.read(3) == b"aaabbbaaa"
        assert len(one.read()) == 200_000 - 6


def test_long_names_of_both_kinds() -> None:
    name = "d/" * 200 + "layer.tar"
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
        assert read(members(out.getvalue()), name) == b"abc"


def test_links_that_docker_save_made_for_shared_layers() -> None:
    archive = members(
        tar_of(
            [
                ("one/layer.tar", b"layer"),
                ("", link("two/layer.tar", "../one/layer.tar")),
                ("", link("three/layer.tar", "../two/layer.tar")),
                ("", link("hard", "one/layer.tar", tarfile.LNKTYPE)),
            ]
        )
    )
    for name in ("two/layer.tar", "three/layer.tar", "hard"):
        assert read(archive, name) == b"layer"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "..", "../x/../../y"])
@withstands("names", "members of an image archive that lead out of it")
def test_a_link_that_leads_out_is_refused(target: str) -> None:
    with pytest.raises(Corrupt, match="leads out of the archive"):
        members(tar_of([("", link("a/layer.tar", target))]))


def test_links_that_lead_nowhere() -> None:
    archive = members(
        tar_of([("", link("a", "b")), ("", link("b", "a")), ("", link("c", "missing"))])
    )
    with pytest.raises(Corrupt, match="too many others"):
        archive.open("a")
    with pytest.raises(MemberNotFound):
        archive.open("c")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "a/..", "x" * 5000])
@withstands("names", "members of an image archive that lead out of it")
def test_an_unsafe_name_is_refused(name: str) -> None:
    with pytest.raises(Corrupt, match="unsafe name"):
        members(tar_of({name: b""}))
    with pytest.raises(Corrupt, match="unsafe name"):
        plain_name(name)


def test_what_is_neither_file_nor_link_is_refused() -> None:
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"):
        with pytest.raises(Corrupt, match="neither a file nor a link"):
            members(tar_of([("", link("x", "", kind))]))


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(Corrupt, match="two members named 'manifest"):
        members(tar_of([("manifest.json", b"1"), ("./manifest.json", b"2")]))
    with pytest.raises(Corrupt, match="two members"):
        members(tar_of([("a", b"1"), ("", link("a", "b"))]))


def test_names_in_other_encodings_are_refused() -> None:
    header = tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)
    block = bytearray(header[:512])
    block[0:2] = b"\xff\xfe"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(Corrupt, match="not UTF-8"):
        members(bytes(block) + bytes(1024))


def patched(offset: int, field: bytes) -> bytes:
    """Write an archive of one file whose header has another field, and a right checksum."""
    data = bytearray(tar_of({"a": b"abc"}))
    data[offset : offset + len(field)] = field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (patched(124, b"77777777777\0"), "ends in the middle of 'a'"),
        (patched(124, b"\xff" * 12), "negative size"),
        (patched(124, b"\x80" + b"\0" * 3 + b"\x7f" * 8), "ends in the middle|64 bits"),
        (patched(124, b"9" * 11 + b"\0"), "not an octal number"),
        (b"\x01" + tar_of({"a": b"abc"})[1:], "checksum"),
        (b"not a tar at all", "not a tar archive"),
        (tar_of({"a": b"abc"})[:514], "ends in the middle"),
        (tar_of({"a": b"abc"})[:300], "not a tar archive"),
        (patched(156, b"x") + b"", "damaged archive"),
    ],
)
def test_damaged_archives(data: bytes, complaint: str) -> None:
    with pytest.raises(Corrupt, match=complaint):
        members(data)


@withstands("bombs", "huge extended headers")
def test_a_huge_extended_header_is_not_read() -> None:
    member = tarfile.TarInfo("a")
    member.pax_headers = {"comment": "x" * (2 << 20)}
    with pytest.raises(Corrupt, match="extended header of"):
        members(tar_of([("", member)]))


@withstands("bombs", "documents that are huge or nested without end")
def test_a_large_member_is_not_read_as_a_document() -> None:
    archive = members(tar_of({"manifest.json": b"x" * 100}))
    with pytest.raises(Corrupt, match="100 bytes, more than the allowed 99"):
        read_member(archive, "manifest.json", 99)


def test_an_empty_archive_has_nothing() -> None:
    assert not members(b"").has("manifest.json")
    assert not members(bytes(10240)).has("manifest.json")


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "a").write_bytes(b"one")
    (tmp_path / "link").symlink_to("blobs/a")
    (tmp_path / "outside").symlink_to("/etc/passwd")
    (tmp_path / "climbs").symlink_to("../../../../etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    with DirectoryMembers(str(tmp_path)) as directory:
        assert (read(directory, "blobs/a"), read(directory, "link")) == (b"one", b"one")
        assert not directory.has("outside")  # there is no /etc/passwd inside
        assert not directory.has("climbs")
        assert not directory.has("blobs/a/b")
        for name in ("fifo", "blobs"):
            with pytest.raises(Corrupt, match="is not a file"):
                directory.open(name)
        with pytest.raises(Corrupt, match="unsafe name"):
            directory.open("../x")
