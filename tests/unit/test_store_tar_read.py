"""The tar reader: every format in use, every lie refused, whatever bytes come."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st

from onggi.store import tar_header, tar_pax
from onggi.store.byte_source import ByteSource
from onggi.store.tar_limits import ArchiveRefused, BadArchive, Limits, quoted
from onggi.store.tar_read import Entry, TarReader
from onggi.store.tar_write import encode_header
from support.threats import withstands

END = bytes(1024)


def in_chunks(data: bytes, size: int = 700) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def read(data: bytes, limits: Limits | None = None) -> list[tuple[Entry, bytes]]:
    """Read a whole archive; return its entries and the contents of the files."""
    reader = TarReader(ByteSource(in_chunks(data)), limits or Limits())
    return [(entry, contents_of(reader, entry)) for entry in reader]


def contents_of(reader: TarReader, entry: Entry) -> bytes:
    if entry.kind != tar_header.REGULAR:
        return b""
    fd = os.memfd_create("contents")
    with open(fd, "rb") as file:
        reader.copy_data(fd, entry)
        file.seek(0)
        return file.read()


def made(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """Write an archive with Python's own writer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def member(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def block(name: bytes = b"file", kind: bytes = b"0", **fields: object) -> bytes:
    return encode_header(name, kind, mode=0o644, **fields)  # type: ignore[arg-type]


def patched(header: bytes, at: int, field: bytes) -> bytes:
    """Replace a field and correct the checksum."""
    data = bytearray(header)
    data[at : at + len(field)] = field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format(format: int) -> None:
    long = "directory/" * 9 + "x" * 60
    data = made(
        (member("dir", type=tarfile.DIRTYPE, mode=0o1777), b""),
        (member("./file", mode=0o4755, uid=1000, gid=2000, mtime=12345), b"contents" * 99),
        (member(long), b"long"),
        (member("link", type=tarfile.SYMTYPE, linkname="to/where"), b""),
        (member("hard", type=tarfile.LNKTYPE, linkname="./file"), b""),
        (member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
        (member("pipe", type=tarfile.FIFOTYPE), b""),
        format=format,
    )
    entries = read(data)
    assert [entry.path.decode() for entry, _ in entries] == [
        *("dir", "file", long, "link", "hard", "null", "pipe"),
    ]
    file = entries[1][0]
    assert (file.mode, file.uid, file.gid, file.mtime_ns) == (0o4755, 1000, 2000, 12345 * 10**9)
    assert [contents for _, contents in entries][1:3] == [b"contents" * 99, b"long"]
    assert entries[3][0].link == b"to/where"
    assert entries[4][0].link == b"file"
    assert entries[5][0].device == (1, 3)


def test_pax_overrules_the_header() -> None:
    headers = {
        "SCHILY.xattr.user.a": "b",
        "mtime": "-1.250000001",
        "comment": "x",
        "uid": "3000000",
    }
    data = made((member("é" * 60, pax_headers=headers), b"x"))
    ((entry, contents),) = read(data)
    assert entry.path.decode() == "é" * 60
    assert entry.mtime_ns == -1_250_000_001
    assert entry.uid == 3_000_000
    assert entry.xattrs == {"user.a": b"b"}
    assert contents == b"x"


def test_gnu_long_links() -> None:
    long = "t" * 150
    data = made(
        (member("link", type=tarfile.SYMTYPE, linkname=long), b""), format=tarfile.GNU_FORMAT
    )
    assert read(data)[0][0].link == long.encode()


def test_numbers_in_base_256() -> None:
    header = patched(block(), 108, b"\x80\0\0\0\x7f\xff\xff\xf0")
    header = patched(header, 136, b"\xff" * 12)
    ((entry, _),) = read(header + END)
    assert entry.uid == 0x7FFFFFF0
    assert entry.mtime_ns == -1_000_000_000


def test_a_directory_in_the_oldest_format() -> None:
    header = patched(block(b"dir/", b"\0"), 257, bytes(8))
    assert read(header + END)[0][0].kind == tar_header.DIRECTORY


def test_a_global_header_says_nothing() -> None:
    records = tar_pax.encode([(b"path", b"everywhere")])
    extension = block(b"g", b"g", size=len(records)) + records.ljust(512, b"\0")
    assert read(extension + block() + END)[0][0].path == b"file"


def test_an_empty_value_takes_a_record_back() -> None:
    records = tar_pax.encode([(b"path", b"other"), (b"path", b""), (b"SCHILY.xattr.user.e", b"")])
    extension = block(b"x", b"x", size=len(records)) + records.ljust(512, b"\0")
    ((entry, _),) = read(extension + block() + END)
    assert entry.xattrs == {"user.e": b""}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "./etc//passwd", "etc/./x/../passwd", "//etc/passwd"]
)
@withstands("names", "`..` and absolute names")
def test_paths_are_made_plain(path: str) -> None:
    assert read(block(path.encode()) + END)[0][0].path == b"etc/passwd"


@pytest.mark.parametrize("path", [b"..", b"../x", b"/../x", b"a/../../x", b"a/b/../../../x"])
@withstands("names", "`..` and absolute names")
def test_paths_that_climb_are_refused(path: bytes) -> None:
    with pytest.raises(ArchiveRefused, match="leads out"):
        read(block(path) + END)
    with pytest.raises(ArchiveRefused, match="leads out"):
        read(block(b"x", b"1", link=path) + END)


@withstands("names", "names with NUL")
def test_a_nul_in_a_path_is_refused() -> None:
    records = tar_pax.encode([(b"path", b"a\0b")])
    extension = block(b"x", b"x", size=len(records)) + records.ljust(512, b"\0")
    with pytest.raises(ArchiveRefused, match="NUL"):
        read(extension + block() + END)


@withstands("names", "names that disturb a terminal")
def test_what_is_quoted_cannot_disturb_a_terminal() -> None:
    assert quoted(b"a\n\x1b[31m\xff") == r"'a\n\x1b[31m\\xff'"
    assert len(quoted(b"x" * 5000)) < 250


@pytest.mark.parametrize("kind", [b"s", b"M", b"D", b"V", b"?"])
def test_unknown_types_are_refused(kind: bytes) -> None:
    with pytest.raises(ArchiveRefused, match="unknown type"):
        read(block(kind=kind) + END)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(entries=2), "more than 2 entries"),
        (Limits(total_bytes=5), "more than 5 bytes"),
        (Limits(name_bytes=5), "a path of 6 bytes"),
    ],
)
@withstands("bombs", "entries without end")
def test_limits(limits: Limits, words: str) -> None:
    data = b"".join(block(b"file-%d" % each, size=2) + bytes(512) for each in range(3))
    with pytest.raises(ArchiveRefused, match=words):
        read(data + END, limits)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
@withstands("bombs", "huge extended headers")
def test_a_huge_extended_header_is_not_read(kind: bytes) -> None:
    with pytest.raises(ArchiveRefused, match="extended header of 8000000000 bytes"):
        read(block(b"x", kind, size=8_000_000_000))


@pytest.mark.parametrize(
    "data",
    [
        b"not a tar archive".ljust(512, b"."),
        block()[:300],
        block(size=5000) + b"short",
        block(size=10) + b"x" * 10,
        block(b"x", b"x", size=512) + bytes(512) + block(),
        block(b"x", b"x", size=12) + b"12 path=abcd".ljust(512, b"\0"),
        block(b"x", b"L", size=4) + b"name".ljust(512, b"\0") + END,
        patched(block(), 124, b"-0000000001\0"),
        patched(block(), 124, b"1_0\0"),
        patched(block(), 124, b"0000009\0"),
        patched(block(), 124, b"\xff" * 12),
        patched(block(), 124, b"\xff" * 10 + b"\xfe\0") + END,  # whole blocks, but less than none
        patched(block(), 124, b"\x80" + b"\x7f" * 11),
        patched(block(), 108, b"\xff" * 8),
        patched(block(b"x", b"3"), 329, b"7777777\0"),
    ],
)
def test_damaged_archives_are_said_to_be(data: bytes) -> None:
    with pytest.raises(BadArchive):
        read(data)


RECORDS_THAT_LIE = [
    *(b" ", b"5 a=b", b"6 a=b\n\n", b"99 a=b\n", b"-6 a=b\n", b"6 a-b\n", b"5 =b\n", b"\n"),
    *(b"9" * 30 + b" a=b\n", b"6 a=b\nx", b"6 a=b\n 6 a=b\n", b"6 a=b\n0 \n"),
]


@pytest.mark.parametrize("record", RECORDS_THAT_LIE)
def test_damaged_records(record: bytes) -> None:
    with pytest.raises(BadArchive):
        tar_pax.parse(record)


@given(st.lists(st.tuples(st.binary(min_size=1).filter(lambda key: b"=" not in key), st.binary())))
@fuzzing(max_examples=100, deadline=None)
def test_records_are_read_as_written(records: list[tuple[bytes, bytes]]) -> None:
    assert tar_pax.parse(tar_pax.encode(records)) == records


@given(st.integers(-(10**19), 10**19))
@fuzzing(max_examples=100, deadline=None)
def test_times_are_read_as_written(time_ns: int) -> None:
    assert tar_pax.nanoseconds(tar_pax.seconds(time_ns)) == time_ns


paths = st.lists(
    st.binary(min_size=1, max_size=90).filter(
        lambda part: part not in (b".", b"..") and not {0, ord("/")} & set(part)
    ),
    min_size=1,
    max_size=4,
).map(b"/".join)


@given(
    path=paths,
    mode=st.integers(0, 0o7777),
    owner=st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)),
    mtime_ns=st.integers(-(10**18), 10**20),
    data=st.binary(max_size=1500),
    xattrs=st.dictionaries(st.sampled_from([b"user.a", b"user.\xc3\xa9"]), st.binary()),
)
@fuzzing(max_examples=100, deadline=None)
def test_headers_are_read_as_written(
    path: bytes,
    mode: int,
    owner: tuple[int, int],
    mtime_ns: int,
    data: bytes,
    xattrs: dict[bytes, bytes],
) -> None:
    records = [(tar_pax.XATTR + key, value) for key, value in xattrs.items()]
    written = encode_header(
        path, b"0", mode=mode, owner=owner, size=len(data), mtime_ns=mtime_ns, xattrs=records
    )
    ((entry, contents),) = read(written + data + bytes(-len(data) % 512) + END)
    assert entry.path == path
    assert (entry.mode, entry.uid, entry.gid, entry.mtime_ns) == (mode, *owner, mtime_ns)
    assert {os.fsencode(key): value for key, value in entry.xattrs.items()} == xattrs
    assert contents == data


SAMPLE = made(
    (member("d", type=tarfile.DIRTYPE), b""),
    (member("é" * 60, pax_headers={"SCHILY.xattr.user.a": "b", "mtime": "1.5"}), b"x" * 600),
    (member("l", type=tarfile.SYMTYPE, linkname="t" * 150), b""),
)


@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(SAMPLE) - 1), st.binary(min_size=1, max_size=12)), max_size=6
    ),
    end=st.integers(0, len(SAMPLE)),
    mend=st.booleans(),
)
@fuzzing(max_examples=400, deadline=None)
@withstands("names", "any bytes at all")
def test_whatever_bytes_come_the_reader_keeps_its_word(
    edits: list[tuple[int, bytes]], end: int, mend: bool
) -> None:
    data = bytearray(SAMPLE[:end])
    for at, change in edits:
        data[at : at + len(change)] = change
    if mend:  # else nearly everything ends at a checksum
        for at in range(0, len(data) - 511, 512):
            if data[at + 257 : at + 262] == b"ustar":
                data[at : at + 512] = patched(bytes(data[at : at + 512]), 0, b"")
    try:
        entries = read(bytes(data), Limits(total_bytes=1 << 20))
    except (BadArchive, ArchiveRefused):
        return
    for entry, contents in entries:
        assert b".." not in entry.path.split(b"/")
        assert b"\0" not in entry.path + entry.link
        assert len(contents) == (entry.size if entry.kind == b"0" else 0)


SPARSE = [
    ["--format=gnu"],
    ["--format=posix", "--sparse-version=0.0"],
    ["--format=posix", "--sparse-version=0.1"],
    ["--format=posix", "--sparse-version=1.0"],
]


@pytest.mark.parametrize("flags", SPARSE, ids=["old", "0.0", "0.1", "1.0"])
@pytest.mark.parametrize("pieces", [0, 1, 3, 60])
def test_sparse_files(root_dir: Path, flags: list[str], pieces: int) -> None:
    path = root_dir / ("sparse-" + "x" * 120)
    with path.open("wb") as file:
        for number in range(pieces):
            file.seek(number * 40_000)
            file.write(b"piece %d" % number * 100)
        file.truncate(3_000_000)
    command = ["tar", "--sparse", *flags, "-C", str(root_dir), "-cf", "-", path.name]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    ((entry, contents),) = read(data)
    assert entry.path == path.name.encode()
    assert entry.size == 3_000_000
    assert contents == path.read_bytes()
    assert len(data) < 400_000


def sparse_1_0(map_lines: bytes, realsize: int = 100, data: bytes = b"") -> bytes:
    records = tar_pax.encode(
        [
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.realsize", b"%d" % realsize),
        ]
    )
    body = map_lines.ljust(-len(map_lines) % 512 + len(map_lines), b"\0") + data
    extension = block(b"x", b"x", size=len(records)) + records.ljust(512, b"\0")
    return extension + block(size=len(body)) + body.ljust(-len(body) % 512 + len(body), b"\0") + END


def test_a_sparse_map_by_hand() -> None:
    ((_, contents),) = read(sparse_1_0(b"1\n90\n10\n", data=b"0123456789"))
    assert contents == bytes(90) + b"0123456789"


@pytest.mark.parametrize(
    "map_lines",
    [
        b"1\n95\n10\n",
        b"1\n0\n9\n",
        b"2\n0\n5\n4\n5\n",
        b"2\n50\n5\n0\n5\n",
        b"9999999\n",
        b"1\n-1\n10\n",
        b"x\n",
        b"1" * 600,
        b"3\n0\n10\n",
    ],
)
@withstands("bombs", "sparse giants")
def test_sparse_maps_that_lie(map_lines: bytes) -> None:
    with pytest.raises(BadArchive):
        read(sparse_1_0(map_lines, data=b"0123456789"))


@withstands("bombs", "sparse giants")
@pytest.mark.parametrize("pieces", [b"99999999\n", b"0" * 600])
def test_a_map_of_a_sparse_file_has_an_end(pieces: bytes) -> None:
    """It is refused for what it says, before it is read."""
    with pytest.raises(BadArchive, match="too long"):
        read(sparse_1_0(pieces, data=bytes(4096)))


@withstands("bombs", "sparse giants")
def test_a_sparse_giant_is_refused() -> None:
    with pytest.raises(ArchiveRefused, match="more than"):
        read(sparse_1_0(b"0\n", realsize=1 << 60))
