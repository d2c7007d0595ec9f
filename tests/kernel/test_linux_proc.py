"""Reading and writing /proc while somebody tries to put something else in its place."""

import errno
import os
from pathlib import Path

import pytest

from onggi.linux import mount, mountinfo, procfs
from onggi.linux.fd import Fd
from onggi.linux.filesystem import PROC_SUPER_MAGIC, magic
from support.child import run_in_child
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "mount-api")

REFUSED = (errno.EXDEV, errno.ELOOP)


def test_a_value_is_written_and_read() -> None:
    def body() -> None:
        with Fd(procfs.open_proc()) as proc:
            assert magic(proc) == PROC_SUPER_MAGIC
            procfs.write(proc, "self/oom_score_adj", "777")
            assert procfs.read(proc, f"{os.getpid()}/oom_score_adj") == b"777\n"
            procfs.write(proc, "thread-self/comm", b"onggi-test")
            assert procfs.read(proc, "self/comm") == b"onggi-test\n"

    run_in_child(body)


def test_a_refused_value_is_an_error_with_the_file() -> None:
    with Fd(procfs.open_proc()) as proc, pytest.raises(OSError, match="Invalid argument") as caught:
        procfs.write(proc, "self/oom_score_adj", "much")
    assert caught.value.filename == "self/oom_score_adj"
    assert vars(caught.value)["syscall"] == "write"


@pytest.mark.parametrize("path", ["/tmp", "/proc/self", "/proc/sys", "/sys"])
def test_what_is_not_the_root_of_a_procfs_is_refused(path: str) -> None:
    with pytest.raises(OSError, match=r"cross-device|Not a directory") as caught:
        procfs.open_proc(path)
    assert caught.value.errno in (errno.EXDEV, errno.ENOTDIR)


@pytest.mark.parametrize(
    "path",
    [
        "self/root/etc/passwd",
        "self/exe",
        "self/cwd",
        "self/fd/0",
        "../etc/hostname",
        "/etc/hosts",
    ],
)
@withstands("procfs", "a way that leads out of procfs")
def test_ways_out_of_procfs_are_refused(path: str) -> None:
    with Fd(procfs.open_proc()) as proc, pytest.raises(OSError, match=r".") as caught:
        procfs.open_file(proc, path, os.O_RDONLY)
    assert caught.value.errno in REFUSED


@pytest.mark.parametrize("over", ["comm", "attr", "attr/exec"])
@pytest.mark.parametrize("kind", ["another procfs file", "a file elsewhere", "a directory"])
@withstands("procfs", "a file mounted over the one that is written")
def test_what_is_mounted_over_a_file_is_refused(over: str, kind: str, root_dir: Path) -> None:
    """Hold against CVE-2025-52881: writes to /proc that are led elsewhere."""
    if over == "attr/exec" and not os.path.exists("/proc/self/attr/exec"):
        pytest.skip("no security module here")

    def body() -> None:
        target = f"/proc/{os.getpid()}/{over}"
        if os.path.isdir(target):
            mount.mount("none", target, "tmpfs")
            Path(target, "exec").touch()
        else:
            (root_dir / "file").touch()
            source = "/proc/sys/kernel/core_pattern" if "procfs" in kind else root_dir / "file"
            mount.mount(str(source), target, None, mount.MS_BIND)
        name = "attr/exec" if over == "attr" else over
        with Fd(procfs.open_proc()) as proc, pytest.raises(OSError, match="cross-device") as caught:
            procfs.write(proc, f"self/{name}", "evil")
        assert caught.value.errno == errno.EXDEV
        with Fd(procfs.fresh_proc()) as proc:
            procfs.write(proc, "self/comm", "fine")

    run_in_child(body, "mount")
    assert "evil" not in Path("/proc/sys/kernel/core_pattern").read_text()


@withstands("procfs", "a /proc that is no procfs, or a part of one")
def test_a_fake_procfs_is_refused() -> None:
    def body() -> None:
        mount.mount("none", "/proc", "tmpfs")
        Path("/proc/self").mkdir()
        Path("/proc/self/oom_score_adj").touch()
        with pytest.raises(OSError, match="cross-device"):
            procfs.open_proc()
        with (
            Fd(os.open("/proc", os.O_PATH | os.O_CLOEXEC)) as fake,
            pytest.raises(OSError, match="cross-device"),
        ):
            procfs.write(fake, "self/oom_score_adj", "1")

    run_in_child(body, "mount")


@withstands("procfs", "a /proc that is no procfs, or a part of one")
def test_a_part_of_procfs_in_procs_place_is_refused(root_dir: Path) -> None:
    def body() -> None:
        mount.mount("/proc/sys", str(root_dir), None, mount.MS_BIND)
        with pytest.raises(OSError, match="cross-device"):
            procfs.open_proc(str(root_dir))

    run_in_child(body, "mount")


def test_a_link_to_procfs_is_refused(root_dir: Path) -> None:
    (root_dir / "proc").symlink_to("/proc")
    with pytest.raises(OSError, match=r"Not a directory|symbolic") as caught:
        procfs.open_proc(str(root_dir / "proc"))
    assert caught.value.errno in (errno.ENOTDIR, errno.ELOOP)


def test_a_fresh_procfs_is_of_the_callers_pid_namespace_and_nowhere_mounted() -> None:
    def body() -> None:
        before = len(mountinfo.read())
        with Fd(procfs.fresh_proc()) as proc:
            assert procfs.read(proc, "self/stat").startswith(b"1 (")
            assert len(mountinfo.read()) == before

    run_in_child(body, "pid", "mount")


def test_mountinfo_shows_strange_names_as_they_are(root_dir: Path) -> None:
    name = os.fsencode(root_dir) + b"/a b\tc\nd\\e#f\xff"

    def body() -> None:
        os.mkdir(name)
        mount.mount("so urce#1", name, "tmpfs")
        found = mountinfo.read()[-1]
        assert os.fsencode(found.mountpoint) == name
        assert found.source == "so urce#1"
        device = os.stat(name).st_dev
        assert (found.major, found.minor) == (os.major(device), os.minor(device))

    run_in_child(body, "mount")
