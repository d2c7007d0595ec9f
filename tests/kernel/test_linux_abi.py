"""The door to the C library: what crosses it whole, and what it refuses."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onggi.linux import _abi, mount, namespace, path, process
from onggi.linux.fd import Fd
from support.repository import ROOT
from support.requirements import requires

# What a module of the kernel layer may bring with it, beyond `os`.
ALLOWED = {"_ctypes", "_struct", "ctypes", "ctypes._endian", "errno", "struct", "types"}
MODULES = sorted(file.stem for file in (ROOT / "src/onggi/linux").glob("[!_]*.py"))


def test_arguments_of_64_bits_arrive_whole(tmp_path: Path) -> None:
    lseek = _abi.bind("lseek", _abi.c_int, _abi.c_long, _abi.c_int, returns=_abi.c_long)
    with open(tmp_path / "file", "wb") as file:
        assert lseek(file.fileno(), 5 * 2**32 + 7, os.SEEK_SET) == 5 * 2**32 + 7


@requires("root")
def test_a_failure_is_seen_whatever_the_register_held_before() -> None:
    umount2 = _abi.bind("umount2", _abi.c_char_p, _abi.c_int)
    assert umount2(b"/nowhere", mount.UMOUNT_NOFOLLOW) == -1


def test_a_binding_is_nobody_elses() -> None:
    assert _abi.bind("lseek", _abi.c_int) is not _abi.bind("lseek", _abi.c_int)


@pytest.mark.parametrize(
    "call",
    [
        lambda: path.openat2(path.AT_FDCWD, b"/tmp\0/nope", path.O_PATH),
        lambda: mount.mount("a\0b", "/", None),
        lambda: mount.mount("a", "/\0", None),
        lambda: mount.mount("a", "/", "tmpfs\0", 0),
        lambda: mount.mount("a", "/", "tmpfs", 0, "size=1\0,suid"),
        lambda: mount.umount2("/\0nope"),
        lambda: mount.fsopen("tmpfs\0"),
        lambda: process.memfd_create("name\0"),
        lambda: process.execveat(-1, "/bin/true", ["a\0"], []),
        lambda: process.set_name("a\0b"),
    ],
)
def test_nul_is_refused_everywhere(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="embedded null byte"):
        call()


def test_errors_dispatch_by_number_and_name_the_call() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        path.openat2(path.AT_FDCWD, "/nowhere/at/all", path.O_PATH)
    assert caught.value.filename == "/nowhere/at/all"
    assert caught.value.__notes__ == ["in openat2(2)"]
    assert vars(caught.value) == {"syscall": "openat2", "__notes__": ["in openat2(2)"]}
    with pytest.raises(NotADirectoryError):
        path.openat2(path.AT_FDCWD, "/dev/null/x", path.O_PATH)
    with pytest.raises(ProcessLookupError):
        process.pidfd_open(2**22 + 1)


def test_a_call_nobody_knows_fails_when_it_is_used_not_before() -> None:
    call = _abi.bind_syscall("no_such_call", _abi.c_int)
    with pytest.raises(OSError, match="no number is known for no_such_call") as caught:
        call(1)
    assert caught.value.errno == errno.ENOSYS


def test_a_descriptor_object_may_be_passed_for_a_number() -> None:
    with Fd(os.open("/", os.O_PATH | os.O_CLOEXEC)) as root:
        with Fd(path.openat2(root, "proc", path.O_PATH)) as proc:
            assert os.fstat(proc.fileno()).st_ino == os.stat("/proc").st_ino
        assert os.path.isdir(f"/proc/self/fd/{int(root)}")


def test_a_descriptor_is_closed_once_by_its_owner() -> None:
    with Fd(os.open("/", os.O_PATH | os.O_CLOEXEC)) as first:
        taken = Fd(first.take())
        with pytest.raises(ValueError, match="given away"):
            first.fileno()
    number = taken.fileno()
    os.fstat(number)
    taken.close()
    taken.close()
    assert repr(taken) == "Fd(closed)"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


@pytest.mark.parametrize("flags", [0, os.O_DIRECTORY])
def test_what_is_opened_is_closed_on_exec(flags: int) -> None:
    with Fd(path.openat2(path.AT_FDCWD, "/", path.O_PATH | flags)) as found:
        assert not os.get_inheritable(found.fileno())


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_module_brings_little_with_it(module: str) -> None:
    program = (
        "import os, sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]);"
        f"import onggi.linux.{module}; print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", program, str(ROOT / "src")],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    brought = {name for name in done.stdout.split() if not name.startswith("onggi")}
    assert brought <= ALLOWED | {"_socket", "__future__"}


def test_unshare_reports_an_unknown_flag() -> None:
    with pytest.raises(OSError, match="Invalid argument") as caught:
        namespace.unshare(0x10)
    assert caught.value.__notes__ == ["in unshare(2)"]


@pytest.mark.parametrize("module", ["cgroup", "device", "fd", "identity", "mountinfo", "signals"])
def test_what_only_reads_files_does_without_ctypes(module: str) -> None:
    program = (
        f"import sys; sys.path.insert(0, sys.argv[1]); import onggi.linux.{module};"
        "sys.exit('ctypes' in sys.modules)"
    )
    command = [sys.executable, "-IS", "-c", program, str(ROOT / "src")]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0
