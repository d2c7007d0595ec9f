"""Unpacking layers: exactly what the archive says, and nothing of what it should not."""

import gzip
import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from onggi.errors import Corrupt, OnggiError, Unsupported
from onggi.oci.digest import Digest
from onggi.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from onggi.store.layers import LayerNotFound
from onggi.store.merge import is_opaque, is_whiteout
from onggi.store.store import Store
from onggi.store.tar_limits import ArchiveRefused, BadArchive, Limits
from support.layers import archive, directory, member, tree, unpack
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "openat2")

LINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def unpacked(root: Path, data: bytes) -> Path:
    with Store(str(root), durable=False) as store:
        return Path(store.layers.path(unpack(store, data)))


def refused(root: Path, data: bytes) -> ArchiveRefused:
    """Unpack what must be refused, and find nothing half-made."""
    with Store(str(root), durable=False) as store:
        with pytest.raises(ArchiveRefused) as caught:
            unpack(store, data)
        assert store.layers.list() == []
        assert os.listdir(store.workshop.path) == []
        assert os.listdir(store.locks) == [] or set(os.listdir(store.locks)) <= {"index", "collect"}
    return caught.value


def test_a_layer_is_what_its_archive_says(root_dir: Path) -> None:
    fs = unpacked(
        root_dir,
        archive(
            directory("./", mode=0o750, uid=5),
            directory("etc", mode=0o2775, gid=50, mtime=111),
            (member("etc/passwd", mode=0o600, uid=1, gid=2, mtime=1234567), b"root"),
            (member("etc/setuid", mode=0o6755, uid=1000, gid=1000), b"x"),
            member("etc/link", LINK, linkname="../../etc/shadow", uid=7, mtime=99),
            member("etc/hard", HARD, linkname="etc/passwd"),
            member("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
            member("disk", tarfile.BLKTYPE, devmajor=8, devminor=0, mode=0o660, gid=6),
            member("pipe", tarfile.FIFOTYPE, mode=0o644),
        ),
    )
    assert stat.S_IMODE(fs.stat().st_mode) == 0o750
    assert fs.stat().st_uid == 5
    etc = (fs / "etc").stat()
    assert (stat.S_IMODE(etc.st_mode), etc.st_gid, etc.st_mtime) == (0o2775, 50, 111)
    passwd = (fs / "etc/passwd").stat()
    assert (stat.S_IMODE(passwd.st_mode), passwd.st_uid, passwd.st_gid) == (0o600, 1, 2)
    assert passwd.st_mtime_ns == 1234567 * 10**9
    assert passwd.st_nlink == 2
    assert stat.S_IMODE((fs / "etc/setuid").stat().st_mode) == 0o6755
    link = os.lstat(fs / "etc/link")
    assert (link.st_uid, link.st_mtime, os.readlink(fs / "etc/link")) == (7, 99, "../../etc/shadow")
    assert os.lstat(fs / "null").st_rdev == os.makedev(1, 3)
    disk = os.lstat(fs / "disk")
    assert (disk.st_mode, disk.st_rdev) == (stat.S_IFBLK | 0o660, os.makedev(8, 0))
    assert os.lstat(fs / "pipe").st_mode == stat.S_IFIFO | 0o644


def test_notes_about_a_layer(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        plain = unpack(store, archive(directory("a"), ("a/b", b"12345"), ("c", b"123")))
        assert store.layers.size(plain) == 8
        assert store.layers.notes(plain) == {"fs", "size"}
        implied = unpack(store, archive(("x/y/z", b""), directory("x")))
        assert store.layers.implied(implied) == {b"x/y"}
        assert store.layers.implied(plain) == frozenset()
        rooted = unpack(store, archive(directory("./")))
        assert store.layers.notes(rooted) == {"fs", "size", "root"}
        assert store.layers.list() == sorted([plain, implied, rooted])
        assert store.layers.delete(plain)
        assert not store.layers.delete(plain)
        with pytest.raises(LayerNotFound):
            store.layers.notes(plain)


def test_unpacking_again_reads_nothing(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        diff_id = unpack(store, archive(("a", b"1")))
        stream = io.BytesIO(b"never looked at")
        store.layers.unpack(stream, OCI_LAYER, diff_id)
        assert stream.tell() == 0


def test_extended_attributes(root_dir: Path) -> None:
    headers = {
        "SCHILY.xattr.user.colour": "red",
        "SCHILY.xattr.trusted.mine": "1",
        "SCHILY.xattr.security.selinux": "system_u:object_r:bin_t:s0",
        "SCHILY.xattr.security.capability": "\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    }
    fs = unpacked(
        root_dir,
        archive(
            (member("file", mode=0o4755, uid=3, pax_headers=headers), b"x"),
            directory("dir", pax_headers={"SCHILY.xattr.user.colour": "blue"}),
            member("link", LINK, linkname="x", pax_headers={"SCHILY.xattr.trusted.l": "1"}),
        ),
    )
    assert set(os.listxattr(fs / "file")) == {
        *("user.colour", "trusted.mine", "security.capability"),
    }
    assert stat.S_IMODE((fs / "file").stat().st_mode) == 0o4755
    assert os.getxattr(fs / "dir", "user.colour") == b"blue"
    assert os.getxattr(fs / "link", "trusted.l", follow_symlinks=False) == b"1"


@pytest.mark.parametrize("name", ["trusted.overlay.redirect", "trusted.overlay.opaque"])
@withstands("names", "extended attributes that are overlayfs's own")
def test_overlayfs_own_attributes_are_refused(root_dir: Path, name: str) -> None:
    data = archive(directory("a", pax_headers={f"SCHILY.xattr.{name}": "/../../etc"}))
    assert name in str(refused(root_dir, data))


@withstands("names", "names with NUL")
def test_an_attribute_s_name_has_no_nul(root_dir: Path) -> None:
    """The kernel would take what stands before it for the name."""
    data = archive(directory("a", pax_headers={"SCHILY.xattr.trusted.overlay.opaque\0": "y"}))
    refused(root_dir, data)
    refused(root_dir, archive(directory("a", pax_headers={"SCHILY.xattr.user.a\0b": "y"})))


@withstands("names", "names with NUL")
def test_where_a_link_leads_has_no_nul(root_dir: Path) -> None:
    refused(root_dir, archive(member("a", LINK, pax_headers={"linkpath": "x\0y"})))


def test_names_may_be_odd(root_dir: Path) -> None:
    fs = unpacked(root_dir, archive(("new\nline", b""), ("é ü", b""), ("-rf", b""), ("a:b,c", b"")))
    assert sorted(os.listdir(fs)) == ["-rf", "a:b,c", "new\nline", "é ü"]


def test_a_default_access_list_does_not_change_what_is_in_it(root_dir: Path) -> None:
    """Directories get their attributes last, so files do not inherit what they never had."""
    acl = "\x02\0\0\0\x01\0\x07\0\udcff\udcff\udcff\udcff\x04\0\x05\0\udcff\udcff\udcff\udcff"
    acl += "\x20\0\x05\0\udcff\udcff\udcff\udcff"
    raw = acl.encode("utf-8", "surrogateescape")
    fs = unpacked(
        root_dir,
        archive(
            directory(
                "d", mode=0o2755, gid=9, pax_headers={"SCHILY.xattr.system.posix_acl_default": acl}
            ),
            ("d/file", b""),
        ),
    )
    assert os.getxattr(fs / "d", "system.posix_acl_default") == raw
    assert os.listxattr(fs / "d/file") == []
    assert (fs / "d/file").stat().st_gid == 0


class TestPaths:
    """Every path is resolved inside the layer."""

    @pytest.fixture
    def secret(self, root_dir: Path) -> Path:
        path = root_dir / "secret"
        path.mkdir()
        (path / "file").write_text("untouched")
        return path

    @pytest.mark.parametrize("target", ["{}", "../../../../../../../../../..{}"])
    @withstands("names", "writing through links")
    def test_writing_through_a_link(self, root_dir: Path, secret: Path, target: str) -> None:
        refused(
            root_dir / "store",
            archive(
                member("link", LINK, linkname=target.format(secret)),
                (member("link/file"), b"overwritten"),
            ),
        )
        assert (secret / "file").read_text() == "untouched"

    def test_a_link_inside_is_followed_inside(self, root_dir: Path) -> None:
        fs = unpacked(
            root_dir,
            archive(
                directory("usr/lib"),
                member("lib", LINK, linkname="/usr/lib"),
                ("lib/libc.so", b"elf"),
                member("up", LINK, linkname="../../../.."),
                ("up/top", b"top"),
            ),
        )
        assert (fs / "usr/lib/libc.so").read_bytes() == b"elf"
        assert (fs / "top").read_bytes() == b"top"

    @withstands("names", "writing through links")
    def test_a_file_replaces_a_link_instead_of_following_it(
        self, root_dir: Path, secret: Path
    ) -> None:
        fs = unpacked(
            root_dir / "store",
            archive(
                member("file", LINK, linkname=f"{secret}/file"),
                (member("file", mode=0o777, uid=99), b"mine"),
            ),
        )
        assert (fs / "file").read_bytes() == b"mine"
        assert (secret / "file").read_text() == "untouched"
        assert (secret / "file").stat().st_uid == 0

    @withstands("names", "writing through links")
    def test_a_directory_entry_does_not_touch_what_a_link_leads_to(
        self, root_dir: Path, secret: Path
    ) -> None:
        before = secret.stat()
        fs = unpacked(
            root_dir / "store",
            archive(
                member("dir", LINK, linkname=str(secret)),
                directory("dir", mode=0o777, uid=99, mtime=1),
                ("dir/file", b"mine"),
            ),
        )
        assert (fs / "dir/file").read_bytes() == b"mine"
        assert (secret.stat().st_uid, secret.stat().st_mtime) == (before.st_uid, before.st_mtime)

    def test_a_directory_that_becomes_a_link(self, root_dir: Path, secret: Path) -> None:
        """The open directory of an earlier entry must not be used for a later path."""
        refused(
            root_dir / "store",
            archive(
                directory("a/b"),
                ("a/b/one", b"1"),
                member("a", LINK, linkname=str(secret)),
                ("a/b/two", b"2"),
            ),
        )
        assert os.listdir(secret) == ["file"]

    @pytest.mark.parametrize("target", ["{}/file", "../../../../../..{}/file", "link/file"])
    @withstands("names", "hard links to files of the host")
    def test_a_hard_link_to_a_host_file(self, root_dir: Path, secret: Path, target: str) -> None:
        data = archive(
            member("link", LINK, linkname=str(secret)),
            member("hard", HARD, linkname=target.format(secret)),
        )
        refused(root_dir / "store", data)
        assert (secret / "file").stat().st_nlink == 1

    def test_a_hard_link_to_what_the_layer_lacks(self, root_dir: Path) -> None:
        error = refused(root_dir, archive(member("a", HARD, linkname="usr/bin/lower")))
        assert "'usr/bin/lower', which this layer does not hold" in str(error)

    def test_a_hard_link_to_a_symbolic_link(self, root_dir: Path, secret: Path) -> None:
        fs = unpacked(
            root_dir / "store",
            archive(
                member("link", LINK, linkname=f"{secret}/file"),
                member("hard", HARD, linkname="link"),
            ),
        )
        assert os.readlink(fs / "hard") == f"{secret}/file"
        assert os.lstat(fs / "hard").st_ino == os.lstat(fs / "link").st_ino

    def test_a_hard_link_to_a_directory(self, root_dir: Path) -> None:
        refused(root_dir, archive(directory("d"), member("hard", HARD, linkname="d")))
        refused(root_dir, archive(member("hard", HARD, linkname=".")))

    def test_links_in_a_circle(self, root_dir: Path) -> None:
        data = archive(
            member("a", LINK, linkname="b"), member("b", LINK, linkname="a"), ("a/file", b"")
        )
        refused(root_dir, data)

    def test_a_file_where_a_directory_is_needed(self, root_dir: Path) -> None:
        refused(root_dir, archive(("a", b""), ("a/b", b"")))

    def test_a_component_that_is_too_long(self, root_dir: Path) -> None:
        refused(root_dir, archive(("x" * 256, b"")))

    def test_a_root_that_is_no_directory(self, root_dir: Path) -> None:
        refused(root_dir, archive(member("./", LINK, linkname="/")))

    def test_a_nest_deeper_than_descriptors(self, root_dir: Path) -> None:
        path = "/".join("d" * 1500)
        with Store(str(root_dir), durable=False) as store:
            diff_id = unpack(store, archive((path, b"deep")))
            assert store.layers.size(diff_id) == 4
            assert len(store.layers.implied(diff_id)) == 1499
            store.layers.delete(diff_id)
            assert os.listdir(store.workshop.path) == ["lease-until-close"]


class TestDuplicates:
    """The last entry wins, as docker has it."""

    def test_contents_and_attributes(self, root_dir: Path) -> None:
        fs = unpacked(
            root_dir, archive((member("a", mode=0o777, uid=9), b"first"), (member("a"), b"2"))
        )
        assert (fs / "a").read_bytes() == b"2"
        assert (fs / "a").stat().st_uid == 0
        assert stat.S_IMODE((fs / "a").stat().st_mode) == 0o644

    @pytest.mark.parametrize("kind", [LINK, tarfile.REGTYPE, tarfile.FIFOTYPE])
    @withstands("names", "entries that replace each other")
    def test_what_was_a_directory_gives_its_attributes_to_nothing(
        self, root_dir: Path, kind: bytes
    ) -> None:
        """They are set last, when its name may be a link to another directory, or none."""
        stated = directory("a", mode=0o777, uid=7, mtime=5)
        fs = unpacked(
            root_dir, archive(directory("b"), stated, member("a", kind, linkname="b", mode=0o644))
        )
        for path in (fs, fs / "b"):
            status = path.stat()
            assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o755, 0), path

    def test_a_directory_and_back(self, root_dir: Path) -> None:
        fs = unpacked(
            root_dir,
            archive(
                directory("a", mode=0o700, uid=3),
                ("a/old", b""),
                ("a", b"file"),
                directory("a", mode=0o711),
                ("a/new", b""),
            ),
        )
        assert os.listdir(fs / "a") == ["new"]
        assert (stat.S_IMODE((fs / "a").stat().st_mode), (fs / "a").stat().st_uid) == (0o711, 0)

    def test_a_directory_twice_is_merged(self, root_dir: Path) -> None:
        fs = unpacked(
            root_dir,
            archive(directory("a"), ("a/x", b""), directory("a", mode=0o700), ("a/y", b"")),
        )
        assert sorted(os.listdir(fs / "a")) == ["x", "y"]
        assert stat.S_IMODE((fs / "a").stat().st_mode) == 0o700

    @withstands("names", "entries that replace each other")
    def test_every_kind_replaces_every_other(self, root_dir: Path) -> None:
        kinds = [
            directory("x"),
            member("x"),
            member("x", LINK, linkname="target"),
            member("x", tarfile.FIFOTYPE),
            member("x", HARD, linkname="target"),
        ]
        for first in kinds:
            for second in kinds:
                name = f"{first.type.decode()}-{second.type.decode()}"
                fs = unpacked(root_dir / name, archive(("target", b""), first, second))
                assert os.path.lexists(fs / "x")

    def test_a_hard_link_to_itself(self, root_dir: Path) -> None:
        fs = unpacked(
            root_dir,
            archive(
                ("a", b"kept"), member("b", HARD, linkname="a"), member("b", HARD, linkname="a")
            ),
        )
        assert (fs / "a").stat().st_nlink == 2
        assert (fs / "b").read_bytes() == b"kept"


class TestWhiteouts:
    """What hides files of lower layers becomes what overlayfs understands."""

    def test_single_names(self, root_dir: Path) -> None:
        fs = unpacked(root_dir, archive((".wh.gone", b""), ("a/.wh..hidden", b"")))
        assert is_whiteout(os.lstat(fs / "gone"))
        assert is_whiteout(os.lstat(fs / "a/.hidden"))

    def test_all_of_a_directory(self, root_dir: Path) -> None:
        fs = unpacked(root_dir, archive(("a/kept", b""), ("a/.wh..wh..opq", b"")))
        assert is_opaque(str(fs / "a"))
        assert os.listdir(fs / "a") == ["kept"]

    @pytest.mark.parametrize("turn", [1, -1])
    def test_they_hide_only_other_layers_files(self, root_dir: Path, turn: int) -> None:
        both = [(".wh.file", b""), ("file", b"mine")][::turn]
        fs = unpacked(root_dir / "file", archive(*both))
        assert (fs / "file").read_bytes() == b"mine"
        both = [(".wh.dir", b""), ("dir/file", b"mine")][::turn]
        fs = unpacked(root_dir / "implied", archive(*both))
        assert (fs / "dir/file").read_bytes() == b"mine"
        assert is_opaque(str(fs / "dir"))
        data = [archive((".wh.d", b""), directory("d")), archive(directory("d"), (".wh.d", b""))]
        fs = unpacked(root_dir / "stated", data[turn])
        assert is_opaque(str(fs / "d"))

    @pytest.mark.parametrize(
        "name",
        [".wh..wh.plnk", ".wh..wh.aufs", ".wh..wh.orph/x", "a/.wh..wh.x/y", ".wh..wh.plnk/1.2"],
    )
    def test_what_aufs_noted_is_ignored(self, root_dir: Path, name: str) -> None:
        fs = unpacked(root_dir, archive((name, b"x"), ("real", b"")))
        assert os.listdir(fs) == ["real"]

    @pytest.mark.parametrize(
        "name",
        [
            *(".wh.", ".wh..", ".wh...", "a/.wh...", ".wh.a/b", "x/.wh.a/b", ".wh..wh..opq"),
            *(".wh.a/of-many-letters", "x/.wh.a/.wh.b", ".wh.a/b/.wh.c"),
        ],
    )
    @withstands("names", "whiteouts that climb")
    def test_those_that_climb_or_make_no_sense_are_refused(self, root_dir: Path, name: str) -> None:
        refused(root_dir, archive((name, b"")))

    @withstands("names", "device nodes that are whiteouts")
    def test_a_device_that_would_be_one(self, root_dir: Path) -> None:
        data = archive(member("a", tarfile.CHRTYPE, devmajor=0, devminor=0))
        assert "0:0" in str(refused(root_dir, data))

    def test_a_hard_link_to_one(self, root_dir: Path) -> None:
        refused(root_dir, archive((".wh.a", b""), member("b", HARD, linkname="a")))


class TestBytes:
    """The stream is what it claims to be, or nothing is there afterwards."""

    DATA = archive(("file", os.urandom(200_000)))

    def attempt(
        self, root: Path, data: bytes, media_type: str, limits: Limits | None = None
    ) -> None:
        with Store(str(root), durable=False) as store:
            diff_id = Digest.of(self.DATA)
            try:
                store.layers.unpack(io.BytesIO(data), media_type, diff_id, limits=limits)
                assert (Path(store.layers.path(diff_id)) / "file").stat().st_size == 200_000
            except OnggiError:
                assert store.layers.list() == []
                assert os.listdir(store.workshop.path) == []
                raise

    def test_gzip(self, root_dir: Path) -> None:
        parts = [gzip.compress(self.DATA[:70_000]), gzip.compress(self.DATA[70_000:])]
        self.attempt(root_dir / "one", gzip.compress(self.DATA), OCI_LAYER_GZIP)
        self.attempt(root_dir / "two", b"".join(parts), OCI_LAYER_GZIP)
        self.attempt(root_dir / "padded", b"".join(parts) + bytes(3000), OCI_LAYER_GZIP)

    @requires("zstd")
    def test_zstd(self, root_dir: Path) -> None:
        data = subprocess.run(["zstd"], input=self.DATA, capture_output=True, check=True).stdout
        self.attempt(root_dir / "good", data, OCI_LAYER_ZSTD)
        for bad in (data[:-50], data[:1000] + data[1010:], b"nothing of the kind"):
            with pytest.raises(Corrupt):
                self.attempt(root_dir / "bad", bad, OCI_LAYER_ZSTD)

    @pytest.mark.parametrize("cut", [0, 1, 5, 100, 1000, 150_000])
    def test_a_stream_that_ends_early(self, root_dir: Path, cut: int) -> None:
        with pytest.raises(Corrupt):
            self.attempt(root_dir, gzip.compress(self.DATA)[:cut], OCI_LAYER_GZIP)
        with pytest.raises(Corrupt):
            self.attempt(root_dir, self.DATA[:cut], OCI_LAYER)

    def test_other_bytes(self, root_dir: Path) -> None:
        for data in (archive(("file", b"other")), self.DATA + b"more", self.DATA[:-512]):
            with pytest.raises(Corrupt):
                self.attempt(root_dir, data, OCI_LAYER)

    def test_garbage_after_gzip(self, root_dir: Path) -> None:
        with pytest.raises(Corrupt):
            self.attempt(root_dir, gzip.compress(self.DATA) + b"garbage", OCI_LAYER_GZIP)

    def test_another_media_type(self, root_dir: Path) -> None:
        with pytest.raises(Unsupported):
            self.attempt(root_dir, self.DATA, OCI_CONFIG)
        with pytest.raises(Corrupt):
            self.attempt(root_dir, self.DATA, OCI_LAYER_GZIP)
        with pytest.raises(BadArchive):
            self.attempt(root_dir, gzip.compress(self.DATA), OCI_LAYER)

    @withstands("bombs", "gzip and zstd")
    def test_a_bomb(self, root_dir: Path) -> None:
        bomb = gzip.compress(archive(("zeros", bytes(20 << 20))))
        with pytest.raises(ArchiveRefused, match="compressed bytes became"):
            self.attempt(root_dir, bomb, OCI_LAYER_GZIP, Limits(ratio_free_bytes=1 << 20))
        with pytest.raises(ArchiveRefused, match="more than"):
            self.attempt(root_dir, bomb, OCI_LAYER_GZIP, Limits(total_bytes=1 << 20))

    @withstands("bombs", "gzip and zstd")
    def test_too_much_after_the_end(self, root_dir: Path) -> None:
        data = gzip.compress(self.DATA + bytes(20 << 20))
        with pytest.raises(ArchiveRefused):
            self.attempt(root_dir, data, OCI_LAYER_GZIP, Limits(total_bytes=1 << 20))


def test_what_gnu_tar_wrote(root_dir: Path) -> None:
    """A real tree comes out as it went in."""
    source = (
        "/usr/share/perl5" if os.path.isdir("/usr/share/perl5") else os.path.dirname(os.__file__)
    )
    command = ["tar", "--format=posix", "--xattrs", "-C", source, "-cf", "-", "."]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    assert tree(unpacked(root_dir, data)) == tree(source)
