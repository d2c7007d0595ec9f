"""Filters and device programs, judged by the kernel."""

import errno
import os
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.linux import bpf, cgroup, process, seccomp
from onggi.linux.fd import Fd
from onggi.linux.syscall_table import TABLES
from support.child import run_in_child
from support.requirements import requires

pytestmark = requires("root", "seccomp")

ARCHITECTURES = {
    "x86_64": seccomp.AUDIT_ARCH_X86_64,
    "aarch64": seccomp.AUDIT_ARCH_AARCH64,
}
MACHINE = os.uname().machine

# Extended instructions: r0 = value; exit.
ALLOW = struct.pack("<BBhi", 0xB7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0)
DENY = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)


def refusing(call: str, answer: int) -> bytes:
    """Assemble a filter that answers one system call and allows the rest."""
    code = bpf.Assembler()
    code.load(seccomp.OFFSET_ARCH)
    code.jump_if(bpf.BPF_JEQ, ARCHITECTURES[MACHINE], on_false="allow")
    code.load(seccomp.OFFSET_NR)
    code.jump_if(bpf.BPF_JEQ, TABLES[MACHINE][call], "refuse", "allow")
    code.label("allow")
    code.answer(seccomp.SECCOMP_RET_ALLOW)
    code.label("refuse")
    code.answer(answer)
    return code.assemble()


def test_struct_sizes() -> None:
    assert seccomp.SOCK_FPROG.size == 16
    assert bpf.SOCK_FILTER.size == seccomp.INSTRUCTION_SIZE == 8
    sizes = (bpf.PROG_LOAD_ATTR, bpf.PROG_ATTACH_ATTR, bpf.PROG_QUERY_ATTR, bpf.PROG_ID_ATTR)
    assert [one.size for one in sizes] == [64, 20, 32, 12]


def test_a_filter_answers_for_the_kernel() -> None:
    def body() -> None:
        process.set_no_new_privs()
        program = refusing("uname", seccomp.SECCOMP_RET_ERRNO | errno.EXDEV)
        assert seccomp.load_filter(program) == 0
        with pytest.raises(OSError, match="cross-device"):
            os.uname()

    run_in_child(body)


def test_a_filter_kills_the_process() -> None:
    child = os.fork()
    if child == 0:
        process.set_no_new_privs()
        seccomp.load_filter(refusing("uname", seccomp.SECCOMP_RET_KILL_PROCESS))
        os.uname()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -31


def test_a_filter_for_all_threads_and_one_that_notifies() -> None:
    def body() -> None:
        program = refusing("uname", seccomp.SECCOMP_RET_ERRNO | errno.EXDEV)
        assert seccomp.load_filter(program, seccomp.SECCOMP_FILTER_FLAG_TSYNC) == 0
        flag = seccomp.SECCOMP_FILTER_FLAG_NEW_LISTENER
        with Fd(seccomp.load_filter(refusing("uname", 0x7FC00000), flag)) as listener:
            assert not os.get_inheritable(listener.fileno())

    run_in_child(body)


def test_the_kernels_checker_refuses_a_bad_program() -> None:
    def body() -> None:
        process.set_no_new_privs()
        with pytest.raises(OSError, match="Invalid argument") as caught:
            seccomp.load_filter(bpf.instruction(bpf.BPF_LD | bpf.BPF_ABS, k=63))
        assert "in seccomp(2)" in caught.value.__notes__

    run_in_child(body)


def test_actions_are_asked_for() -> None:
    assert seccomp.action_available(seccomp.SECCOMP_RET_KILL_PROCESS)
    assert not seccomp.action_available(0x12340000)


@pytest.fixture
def group() -> Iterator[Path]:
    """Give a v2 cgroup of the test's own."""
    unified = next(one for one in cgroup.hierarchies() if one.version == 2)
    path = Path(unified.mountpoint, f"onggi-test-{uuid.uuid4().hex[:12]}")
    cgroup.make(str(path))
    yield path
    cgroup.remove(str(path))


def null_opens(group: Path) -> bool:
    """Tell whether a process in `group` may open /dev/null."""
    child = os.fork()
    if child == 0:
        cgroup.write(str(group / "cgroup.procs"), os.getpid())
        try:
            os.close(os.open("/dev/null", os.O_RDONLY))
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@requires("cgroup2")
def test_a_device_program_is_attached_replaced_and_detached(group: Path) -> None:
    with (
        Fd(os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as directory,
        Fd(bpf.load_cgroup_device_program(ALLOW)) as allow,
        Fd(bpf.load_cgroup_device_program(DENY)) as deny,
    ):
        assert bpf.attached_cgroup_device(directory) == []
        assert null_opens(group)
        bpf.attach_cgroup_device(directory, deny)
        assert not null_opens(group)
        bpf.replace_cgroup_device(directory, allow, deny)
        assert null_opens(group)
        bpf.attach_cgroup_device(directory, deny)
        assert not null_opens(group)
        ids = bpf.attached_cgroup_device(directory)
        assert len(ids) == 2
        with Fd(bpf.open_program(ids[1])) as found:
            bpf.detach_cgroup_device(directory, found)
        assert bpf.attached_cgroup_device(directory) == ids[:1]
        assert null_opens(group)
        with pytest.raises(FileNotFoundError):
            bpf.detach_cgroup_device(directory, deny)


@requires("cgroup2")
def test_the_verifier_says_what_it_did_not_like() -> None:
    with pytest.raises(OSError, match=r"Invalid argument|Permission denied") as caught:
        bpf.load_cgroup_device_program(ALLOW[8:])
    assert any("R0" in note for note in caught.value.__notes__)
    with pytest.raises(FileNotFoundError):
        bpf.open_program(2**31 - 1)
