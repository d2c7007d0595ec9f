"""Mounting by paths and by descriptors, each in a mount namespace of its own."""

import errno
import os
from pathlib import Path

import pytest

from onggi.linux import mount, mountinfo
from onggi.linux.fd import Fd
from onggi.linux.filesystem import TMPFS_MAGIC, magic
from onggi.linux.path import openat2
from onggi.linux.probe import probe_overlay_lowerdir_append
from support.child import run_in_child
from support.requirements import requires

pytestmark = requires("root", "mount-api")


def mount_at(path: Path) -> mountinfo.MountInfo:
    """Find the mount that is on top at `path`."""
    return [one for one in mountinfo.read() if one.mountpoint == str(path)][-1]


def test_struct_mount_attr() -> None:
    assert mount.MOUNT_ATTR.size == 32  # MOUNT_ATTR_SIZE_VER0 of <linux/mount.h>


def test_a_filesystem_is_mounted_and_unmounted(root_dir: Path) -> None:
    def body() -> None:
        mount.mount("mine", str(root_dir), "tmpfs", mount.MS_NODEV | mount.MS_NOEXEC, "size=64k")
        found = mount_at(root_dir)
        assert (found.fstype, found.source) == ("tmpfs", "mine")
        assert {"nodev", "noexec"} <= set(found.options)
        assert "size=64k" in found.super_options
        mount.umount2(str(root_dir), mount.UMOUNT_NOFOLLOW)
        with pytest.raises(OSError, match="Invalid argument"):
            mount.umount2(str(root_dir), mount.UMOUNT_NOFOLLOW)

    run_in_child(body, "mount")


def test_options_beyond_a_page_are_refused_not_cut(root_dir: Path) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        mount.mount("none", str(root_dir), "tmpfs", 0, "x" * os.sysconf("SC_PAGE_SIZE"))
    assert caught.value.errno == errno.E2BIG


def test_umount_does_not_follow_a_link(root_dir: Path) -> None:
    def body() -> None:
        (root_dir / "real").mkdir()
        mount.mount("none", str(root_dir / "real"), "tmpfs")
        (root_dir / "link").symlink_to("real")
        with pytest.raises(OSError, match="Invalid argument"):
            mount.umount2(str(root_dir / "link"), mount.UMOUNT_NOFOLLOW)
        mount.umount2(str(root_dir / "link"), mount.MNT_DETACH)

    run_in_child(body, "mount")


def test_a_filesystem_is_made_and_attached_by_descriptor(root_dir: Path) -> None:
    def body() -> None:
        with Fd(mount.fsopen("tmpfs")) as context:
            mount.fsconfig_string(context, "source", "mine")
            mount.fsconfig_string(context, "size", "128k")
            mount.fsconfig_flag(context, "inode64")
            mount.fsconfig_create(context)
            attributes = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_RDONLY
            with (
                Fd(mount.fsmount(context, attributes=attributes)) as tree,
                Fd(os.open(root_dir, os.O_PATH | os.O_CLOEXEC)) as target,
            ):
                assert magic(tree) == TMPFS_MAGIC
                flags = mount.MOVE_MOUNT_F_EMPTY_PATH | mount.MOVE_MOUNT_T_EMPTY_PATH
                mount.move_mount(tree, "", target, "", flags)
        found = mount_at(root_dir)
        assert {"ro", "nosuid"} <= set(found.options)
        assert "rw" in found.super_options
        assert "size=128k" in found.super_options

    run_in_child(body, "mount")


def test_a_filesystem_is_reconfigured(root_dir: Path) -> None:
    def body() -> None:
        mount.mount("none", str(root_dir), "tmpfs", 0, "size=64k")
        with Fd(mount.fspick(mount.AT_FDCWD, str(root_dir))) as context:
            mount.fsconfig_string(context, "size", "256k")
            mount.fsconfig_reconfigure(context)
        assert "size=256k" in mount_at(root_dir).super_options

    run_in_child(body, "mount")


def test_the_kernel_says_what_it_did_not_like() -> None:
    with Fd(mount.fsopen("tmpfs")) as context:
        with pytest.raises(OSError, match="Invalid argument") as caught:
            mount.fsconfig_string(context, "nonsense", "1")
        assert caught.value.filename == "nonsense"
        assert "nonsense" in mount.fscontext_log(context)
        assert mount.fscontext_log(context) == ""


def test_an_unknown_filesystem_is_an_error() -> None:
    with pytest.raises(OSError, match="No such device") as caught:
        mount.fsopen("nonsensefs")
    assert caught.value.filename == "nonsensefs"


def test_a_tree_is_copied_changed_and_bound(root_dir: Path) -> None:
    def body() -> None:
        (root_dir / "source").mkdir()
        (root_dir / "target").mkdir()
        mount.mount("none", str(root_dir / "source"), "tmpfs")
        (root_dir / "source/below").mkdir()
        mount.mount("none", str(root_dir / "source/below"), "tmpfs")
        flags = mount.OPEN_TREE_CLONE | mount.AT_RECURSIVE
        with Fd(mount.open_tree(mount.AT_FDCWD, str(root_dir / "source"), flags)) as tree:
            assert not os.get_inheritable(tree.fileno())
            mount.mount_setattr(
                tree,
                "",
                mount.AT_EMPTY_PATH | mount.AT_RECURSIVE,
                attr_set=mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOATIME,
                attr_clr=mount.MOUNT_ATTR__ATIME,
                propagation=mount.MS_SHARED,
            )
            target = str(root_dir / "target")
            f_empty = mount.MOVE_MOUNT_F_EMPTY_PATH
            mount.move_mount(tree, "", mount.AT_FDCWD, target, f_empty)
        for place in ("target", "target/below"):
            found = mount_at(root_dir / place)
            assert {"ro", "noatime"} <= set(found.options)
            assert found.shared
        assert "rw" in mount_at(root_dir / "source/below").options

    run_in_child(body, "mount")


def test_a_copy_that_was_never_attached_leaves_nothing(root_dir: Path) -> None:
    def body() -> None:
        before = len(mountinfo.read())
        with Fd(mount.open_tree(mount.AT_FDCWD, str(root_dir), mount.OPEN_TREE_CLONE)):
            pass
        assert len(mountinfo.read()) == before

    run_in_child(body, "mount")


def test_the_root_is_exchanged(root_dir: Path) -> None:
    def body() -> None:
        mount.mount("none", str(root_dir), "tmpfs")
        (root_dir / "mark").write_text("new root")
        os.chdir(root_dir)
        mount.pivot_root(".", ".")
        mount.umount2(".", mount.MNT_DETACH)
        os.chdir("/")
        assert os.listdir("/") == ["mark"]

    run_in_child(body, "mount")


def test_layers_can_be_appended_where_the_probe_says_so(root_dir: Path) -> None:
    def appended() -> bool:
        with Fd(mount.fsopen("overlay")) as context:
            try:
                for name in ("one", "two"):
                    mount.fsconfig_string(context, "lowerdir+", str(root_dir / name))
                mount.fsconfig_create(context)
            except OSError:
                return False
        return True

    def body() -> None:
        (root_dir / "one").mkdir()
        (root_dir / "two").mkdir()
        assert appended() == probe_overlay_lowerdir_append()

    run_in_child(body, "mount")


@requires("overlay-lowerdir-append")
def test_an_overlay_of_many_layers_fits_no_page(root_dir: Path) -> None:
    def body() -> None:
        layers = [root_dir / ("layer-" + "x" * 90 + str(number)) for number in range(60)]
        for number, layer in enumerate(layers):
            layer.mkdir()
            (layer / f"file{number}").touch()
        with Fd(mount.fsopen("overlay")) as context:
            for layer in layers:
                mount.fsconfig_string(context, "lowerdir+", str(layer))
            mount.fsconfig_create(context)
            with (
                Fd(mount.fsmount(context)) as tree,
                Fd(openat2(tree, ".", os.O_RDONLY)) as merged,
            ):
                assert len(os.listdir(merged.fileno())) == 60

    run_in_child(body, "mount")
