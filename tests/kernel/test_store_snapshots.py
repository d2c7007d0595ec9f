"""Snapshots: what overlayfs shows, what changed, what a commit makes of it."""

import gzip
import io
import os
import socket
import stat
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from onggi.errors import AlreadyExists, InvalidInput
from onggi.oci.descriptor import Descriptor
from onggi.oci.digest import Digest
from onggi.oci.media_types import OCI_LAYER, OCI_LAYER_GZIP
from onggi.store.layers import LayerNotFound
from onggi.store.merge import Stack
from onggi.store.repairs import plan_repair
from onggi.store.snapshots import SnapshotNotFound
from onggi.store.store import Store
from onggi.store.tar_write import layer_archive, tree_archive
from support.child import run_in_child
from support.layers import archive, directory, member, mounted, tree, unpack
from support.requirements import requires

pytestmark = requires("root", "openat2")

BASE = archive(
    directory("./", mode=0o751, uid=3),
    directory("etc", mode=0o755, mtime=5),
    (member("etc/passwd", mtime=5), b"root"),
    (member("etc/group", mtime=5), b"wheel"),
    directory("old/deep", mtime=5),
    (member("old/deep/file", mtime=5), b"x"),
    directory("same", mtime=5),
    (member("same/file", mtime=5), b"x"),
)


def in_mount_namespace(body: Callable[[], object]) -> None:
    run_in_child(body, "mount")


def change_much(root: Path) -> None:
    """Do what a container may do to the tree of BASE."""
    (root / "etc/passwd").write_text("changed")
    (root / "etc/group").unlink()
    (root / "new/dir").mkdir(parents=True)
    (root / "new/dir/file").write_text("new")
    os.chmod(root / "new/dir/file", 0o4755)
    os.link(root / "new/dir/file", root / "new/hard")
    os.symlink("/etc/passwd", root / "new/link")
    os.mkfifo(root / "new/pipe")
    os.mknod(root / "new/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.setxattr(root / "new/dir", "user.colour", b"red")
    (root / "old/deep/file").unlink()
    (root / "old/deep").rmdir()
    (root / "old/deep").mkdir()
    (root / "old/deep/other").write_text("y")
    os.utime(root / "same/file", ns=(5 * 10**9, 5 * 10**9))
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(root / "new/socket"))


CHANGES = [
    ("C", "/etc"),
    ("D", "/etc/group"),
    ("C", "/etc/passwd"),
    ("A", "/new"),
    ("A", "/new/dir"),
    ("A", "/new/dir/file"),
    ("A", "/new/hard"),
    ("A", "/new/link"),
    ("A", "/new/null"),
    ("A", "/new/pipe"),
    ("A", "/new/socket"),
    ("C", "/old"),
    ("C", "/old/deep"),
    ("D", "/old/deep/file"),
    ("A", "/old/deep/other"),
]


def touch(name: str, root: Path) -> None:
    (root / name).touch()


def prepared(store: Store, *layers: bytes, key: str = "jar") -> list[Digest]:
    chain = [unpack(store, layer) for layer in layers]
    store.snapshots.prepare(key, chain)
    return chain


def use(store: Store, place: Path, change: Callable[[Path], object], key: str = "jar") -> None:
    with mounted(store.snapshots.mounts(key), place) as root:
        change(root)


def test_what_is_mounted_is_the_layers(root_dir: Path) -> None:
    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            prepared(store, BASE, archive((".wh.old", b""), ("etc/extra", b"2")))
            with mounted(store.snapshots.mounts("jar"), root_dir / "m") as root:
                assert sorted(os.listdir(root)) == ["etc", "same"]
                assert sorted(os.listdir(root / "etc")) == ["extra", "group", "passwd"]
                status = root.stat()
                assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o751, 3)
                (root / "file").write_text("mine")
            assert Path(store.snapshots.upper("jar"), "file").read_text() == "mine"
            assert store.snapshots.usage("jar") == 4

    in_mount_namespace(body)


def test_a_view_is_read_only(root_dir: Path) -> None:
    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            base = unpack(store, BASE)
            top = unpack(store, archive(("top", b"")))
            for chain in ([], [base], [base, top]):
                with mounted(store.snapshots.view(chain), root_dir / "m") as root:
                    assert ("top" in os.listdir(root)) == (top in chain)
                    with pytest.raises(OSError, match="Read-only"):
                        (root / "x").touch()

    in_mount_namespace(body)


def test_a_snapshot_of_no_layers(root_dir: Path) -> None:
    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            store.snapshots.prepare("jar", [])
            use(store, root_dir / "m", lambda root: (root / "file").write_text("x"))
            assert store.snapshots.changes("jar") == [("A", "/file")]

    in_mount_namespace(body)


def test_a_volatile_snapshot_is_mounted_again(root_dir: Path) -> None:
    def body() -> None:
        with Store(str(root_dir / "s")) as store:
            store.snapshots.prepare("jar", [unpack(store, BASE)], durable=False)
            for number in range(2):
                assert "volatile" in store.snapshots.mounts("jar")[0].options
                use(store, root_dir / "m", partial(touch, f"f{number}"))
            store.snapshots.prepare("kept", [unpack(store, BASE)], durable=True)
            assert "volatile" not in store.snapshots.mounts("kept")[0].options

    in_mount_namespace(body)


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a b", "é"])
def test_stores_in_odd_places(root_dir: Path, name: str) -> None:
    def body() -> None:
        with Store(str(root_dir / name), durable=False) as store:
            prepared(store, BASE, archive(("x", b"")))
            use(store, root_dir / "m", lambda root: (root / "y").touch())
            assert store.snapshots.changes("jar") == [("A", "/y")]

    in_mount_namespace(body)


def test_as_many_layers_as_docker_allows_fit_in_a_page(root_dir: Path) -> None:
    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            layers = [archive((f"file-{number}", b"")) for number in range(127)]
            chain = prepared(store, *layers, key="f" * 64)
            options = ",".join(store.snapshots.mounts("f" * 64)[0].options)
            assert len(options.replace(store.root, "/var/lib/onggi")) < 4096
            with mounted(store.snapshots.view(chain[:75]), root_dir / "m") as root:
                assert len(os.listdir(root)) == 75
            store.snapshots.remove("f" * 64)
            for diff_id in chain:
                store.layers.delete(diff_id)
            assert os.listdir(root_dir / "s/l") == []

    in_mount_namespace(body)


def test_keys_and_layers_must_be_right(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        with pytest.raises(LayerNotFound):
            store.snapshots.prepare("jar", [Digest.of(b"missing")])
        store.snapshots.prepare("jar", [])
        with pytest.raises(AlreadyExists):
            store.snapshots.prepare("jar", [])
        with pytest.raises(InvalidInput):
            store.snapshots.prepare("../jar", [])
        store.snapshots.remove("jar")
        for look in (store.snapshots.remove, store.snapshots.mounts, store.snapshots.changes):
            with pytest.raises(SnapshotNotFound):
                look("jar")
        assert os.listdir(root_dir / "containers") == []


@pytest.mark.parametrize("record_first", [True, False])
def test_records_and_snapshots_live_in_one_directory(root_dir: Path, record_first: bool) -> None:
    with Store(str(root_dir), durable=False) as store:
        if record_first:
            store.containers.create("jar", "name", {"a": 1})
        store.snapshots.prepare("jar", [])
        if not record_first:
            store.containers.create("jar", "name", {"a": 1})
        names = {"record.json", "snapshot", "upper", "work"}
        assert set(os.listdir(store.containers.path("jar"))) == names
        store.snapshots.remove("jar")
        assert os.listdir(store.containers.path("jar")) == ["record.json"]
        store.containers.delete("jar")
        assert os.listdir(root_dir / "containers") == []


def test_changes_are_those_of_docker_diff(root_dir: Path) -> None:
    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            prepared(store, BASE)
            with mounted(store.snapshots.mounts("jar"), root_dir / "m") as root:
                change_much(root)
                assert store.snapshots.changes("jar") == CHANGES
            assert store.snapshots.changes("jar") == CHANGES

    in_mount_namespace(body)


def test_what_was_only_copied_up_did_not_change(root_dir: Path) -> None:
    def change(root: Path) -> None:
        with (root / "etc/passwd").open("r+"):
            pass
        os.chmod(root / "same", 0o755)
        (root / "etc/tmp").touch()
        (root / "etc/tmp").unlink()

    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            prepared(store, BASE)
            use(store, root_dir / "m", change)
            assert store.snapshots.changes("jar") == []
            use(store, root_dir / "m", lambda root: os.chmod(root / "same", 0o700))
            assert store.snapshots.changes("jar") == [("C", "/same")]

    in_mount_namespace(body)


@pytest.mark.parametrize("move", [True, False])
@pytest.mark.parametrize("compression", ["", "gzip"])
def test_a_commit_is_what_its_archive_unpacks_to(
    root_dir: Path, move: bool, compression: str
) -> None:
    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            chain = prepared(store, BASE)
            use(store, root_dir / "m", change_much)
            diff_id, layer = store.snapshots.commit("jar", move=move, compression=compression)
            data = store.blobs.read(layer.digest)
            assert layer == Descriptor.of(data, OCI_LAYER_GZIP if compression else OCI_LAYER)
            plain = gzip.decompress(data) if compression else data
            assert diff_id == Digest.of(plain)
            with Store(str(root_dir / "other"), durable=False) as other:
                other.layers.unpack(io.BytesIO(data), layer.media_type, diff_id)
                other_tree = tree(other.layers.path(diff_id), private=True)
                ours = tree(store.layers.path(diff_id), private=True)
                for each in (ours, other_tree):
                    del each["."]
                assert ours == other_tree
                assert other.layers.size(diff_id) == store.layers.size(diff_id)
                assert other.layers.notes(diff_id) == store.layers.notes(diff_id)
            store.snapshots.prepare("next", [*chain, diff_id])
            with mounted(store.snapshots.mounts("next"), root_dir / "m") as root:
                assert (root / "etc/passwd").read_text() == "changed"
                assert not (root / "etc/group").exists()
                assert os.listdir(root / "old/deep") == ["other"]
                assert not (root / "new/socket").exists()
            kept = [] if move else ["jar"]
            assert sorted(os.listdir(root_dir / "s/containers")) == [*kept, "next"]

    in_mount_namespace(body)


def test_a_living_container_goes_on_after_a_commit(root_dir: Path) -> None:
    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            prepared(store, BASE)
            with mounted(store.snapshots.mounts("jar"), root_dir / "m") as root:
                (root / "file").write_text("before")
                diff_id, _ = store.snapshots.commit("jar")
                (root / "file").write_text("after")
            assert Path(store.layers.path(diff_id), "file").read_text() == "before"
            assert store.snapshots.changes("jar") == [("A", "/file")]

    in_mount_namespace(body)


def test_the_same_changes_make_the_same_layer(root_dir: Path) -> None:
    """With SOURCE_DATE_EPOCH nothing depends on when, or in which order, files were made."""

    def forwards(root: Path) -> None:
        for name in "abc":
            (root / "etc" / name).write_text(name)

    def backwards(root: Path) -> None:
        for name in "cba":
            (root / "etc" / name).write_text(name)
        (root / "etc/x").touch()
        (root / "etc/x").unlink()

    def body() -> None:
        made = []
        for number, change in enumerate((forwards, backwards)):
            with Store(str(root_dir / str(number)), durable=False) as store:
                prepared(store, BASE)
                use(store, root_dir / "m", change)
                diff_id, layer = store.snapshots.commit("jar", move=True, clamp_mtime=7)
                made.append((diff_id, layer.digest, tree(store.layers.path(diff_id) + "/etc")))
        assert made[0] == made[1]
        assert made[0][2]["a"][3] == 7 * 10**9

    in_mount_namespace(body)


def test_an_empty_commit_states_a_changed_root(root_dir: Path) -> None:
    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            chain = prepared(store, BASE)
            empty, _ = store.snapshots.commit("jar")
            assert store.layers.notes(empty) == {"fs", "size"}
            use(store, root_dir / "m", lambda root: os.chmod(root, 0o700))
            changed, _ = store.snapshots.commit("jar")
            assert store.layers.notes(changed) == {"fs", "size", "root"}
            store.snapshots.prepare("next", [*chain, changed])
            status = os.stat(store.snapshots.upper("next"))
            assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, 3)

    in_mount_namespace(body)


def test_what_cannot_be_in_a_layer_is_refused(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        store.snapshots.prepare("jar", [])
        upper = Path(store.snapshots.upper("jar"))
        (upper / ".wh.name").touch()
        with pytest.raises(InvalidInput, match="whiteout"):
            store.snapshots.commit("jar")
        (upper / ".wh.name").unlink()
        (upper / "moved").mkdir()
        os.setxattr(upper / "moved", "trusted.overlay.redirect", b"/elsewhere")
        with pytest.raises(InvalidInput, match="another layer"):
            store.snapshots.commit("jar")
        assert store.blobs.list() == []
        assert store.layers.list() == []


def test_an_archive_unpacks_to_what_it_was_written_from(root_dir: Path) -> None:
    """Bit for bit: unpack(write(x)) == x, and writing that again gives the same bytes."""
    headers = {"SCHILY.xattr.user.colour": "red", "mtime": "1.123456789"}
    data = archive(
        directory("a" * 90 + "/" + "b" * 90, mode=0o2711, uid=3_000_000, mtime=1),
        (member("a" * 90 + "/é", pax_headers=headers, uid=1, gid=2, mode=0o4755), b"x" * 5000),
        member("hard", tarfile.LNKTYPE, linkname="a" * 90 + "/é"),
        member("link", tarfile.SYMTYPE, linkname="t" * 200, mtime=9),
        member("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o620),
        member("pipe", tarfile.FIFOTYPE, mode=0o644),
        (".wh.gone", b""),
        ("d/.wh..wh..opq", b""),
        ("d/kept", b""),
    )
    with Store(str(root_dir), durable=False) as store:
        first = store.layers.path(unpack(store, data))
        written = b"".join(layer_archive(first))
        second = store.layers.path(unpack(store, written))
        trees = [tree(first), tree(second)]
        for each in trees:
            del each["."]
        assert trees[0] == trees[1]
        assert b"".join(layer_archive(second)) == written


def test_whiteouts_precede_their_siblings(root_dir: Path) -> None:
    with Store(str(root_dir), durable=False) as store:
        data = archive(("d/a", b""), ("d/.wh..wh..opq", b""), ("d/.wh.b", b""), ("c", b""))
        written = b"".join(layer_archive(store.layers.path(unpack(store, data))))
    with tarfile.open(fileobj=io.BytesIO(written)) as tar:
        assert tar.getnames() == ["c", "d", "d/.wh..wh..opq", "d/.wh.b", "d/a"]


def test_the_merged_tree_is_what_overlayfs_shows(root_dir: Path) -> None:
    def body() -> None:
        with Store(str(root_dir / "s"), durable=False) as store:
            prepared(store, BASE, archive((".wh.same", b""), directory("etc/x", mode=0o711)))
            with mounted(store.snapshots.mounts("jar"), root_dir / "m") as root:
                change_much_but_same(root)
                shown = tree(root)
            written = b"".join(tree_archive(store.snapshots.stack("jar")))
        out = root_dir / "out"
        out.mkdir()
        with tarfile.open(fileobj=io.BytesIO(written)) as tar:
            assert not [name for name in tar.getnames() if ".wh." in name]
        with Store(str(root_dir / "other"), durable=False) as other:
            unpacked = tree(other.layers.path(unpack(other, written)))
        assert unpacked == {path: inode for path, inode in shown.items() if "socket" not in path}

    def change_much_but_same(root: Path) -> None:
        (root / "same").mkdir()
        (root / "same/file").touch()
        change_much(root)

    in_mount_namespace(body)


class TestRepairs:
    """Directories that a layer implies look as the highest layer below states them."""

    STATED = archive(
        directory("a", mode=0o1777, uid=4, gid=5, mtime=9),
        directory("a/b", mode=0o700, mtime=8),
        ("a/b/low", b""),
    )
    IMPLYING = archive(("a/b/file", b"x"))

    def look(self, root_dir: Path, *layers: bytes) -> tuple[int, int, int]:
        """Mount a chain; return mode, owner and time of directory a/b."""
        found = root_dir / "found"

        def body() -> None:
            with Store(str(root_dir / "s"), durable=False) as store:
                prepared(store, *layers)
                with mounted(store.snapshots.mounts("jar"), root_dir / "m") as root:
                    status = (root / "a/b").stat()
                    words = (stat.S_IMODE(status.st_mode), status.st_uid, int(status.st_mtime))
                found.write_text(" ".join(map(str, words)))
                store.snapshots.remove("jar")

        in_mount_namespace(body)
        mode, uid, mtime = map(int, found.read_text().split())
        return mode, uid, mtime

    def test_the_statement_below_counts(self, root_dir: Path) -> None:
        assert self.look(root_dir, self.STATED, self.IMPLYING) == (0o700, 0, 8)
        assert len(os.listdir(root_dir / "s/repairs")) == 1
        assert self.look(root_dir, self.STATED, self.IMPLYING) == (0o700, 0, 8)

    def test_the_highest_statement_counts(self, root_dir: Path) -> None:
        middle = archive(directory("a"), directory("a/b", mode=0o711, uid=7, mtime=3))
        assert self.look(root_dir, self.STATED, middle, self.IMPLYING) == (0o711, 7, 3)

    def test_a_statement_above_needs_no_repair(self, root_dir: Path) -> None:
        top = archive(directory("a"), directory("a/b", mode=0o711, uid=7, mtime=3))
        assert self.look(root_dir, self.STATED, self.IMPLYING, top) == (0o711, 7, 3)
        (repair,) = (root_dir / "s/repairs").iterdir()
        assert os.listdir(repair) == ["chain"]

    def test_what_was_hidden_in_between_does_not_count(self, root_dir: Path) -> None:
        hidden = archive((".wh.a", b""))
        mode, uid, _ = self.look(root_dir, self.STATED, hidden, self.IMPLYING)
        assert (mode, uid) == (0o755, 0)

    def test_a_chain_without_statements_needs_none(self, root_dir: Path) -> None:
        assert self.look(root_dir, self.IMPLYING, archive(("a/b/c", b"")))[:2] == (0o755, 0)

    def test_what_is_hidden_above_is_not_brought_back(self, root_dir: Path) -> None:
        with Store(str(root_dir), durable=False) as store:
            chain = [
                unpack(store, layer)
                for layer in (archive((".wh.a", b"")), self.IMPLYING, self.STATED)
            ]
            with Stack([store.layers.path(diff_id) for diff_id in chain]) as stack:
                implied = [store.layers.implied(diff_id) for diff_id in chain]
                assert plan_repair(stack, implied) == {}

    def test_only_what_is_wrong_is_planned(self, root_dir: Path) -> None:
        with Store(str(root_dir), durable=False) as store:
            top = unpack(store, archive(directory("a", mode=0o711), ("a/b/file", b"")))
            low = unpack(store, self.STATED)
            with Stack([store.layers.path(top), store.layers.path(low)]) as stack:
                implied = [store.layers.implied(top), store.layers.implied(low)]
                assert plan_repair(stack, implied) == {b"a": 0, b"a/b": 1}
