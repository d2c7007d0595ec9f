"""The default filter on the real kernel, through every ABI that an x86-64 process can call."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import functools
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from onggi.linux import process, seccomp
from onggi.linux.syscall_table import TABLES
from onggi.runtime.capabilities import DEFAULT
from onggi.runtime.seccomp import cache
from onggi.runtime.seccomp.compile import compile_filter
from onggi.runtime.seccomp.profile import default_profile
from support.threats import withstands

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="calls as x86-64 does")

# int f(number, a, b, c) { return int80(number, a, b, c); }
INT_80 = bytes.fromhex(
    "53"  # push rbx
    "89f8"  # mov eax, edi
    "89f3"  # mov ebx, esi
    "87ca"  # xchg edx, ecx
    "cd80"  # int 0x80
    "5b"  # pop rbx
    "c3"  # ret
)

Call = Callable[..., int]


CODE = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
CODE.write(INT_80)


@functools.cache
def i386() -> Call:
    """Return a function that calls the kernel as a 32-bit program does: -errno on failure."""
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 4)
    function = prototype(ctypes.addressof(ctypes.c_char.from_buffer(CODE)))

    def call(name: str, *arguments: int) -> int:
        padded = [value & 0xFFFFFFFF for value in (*arguments, 0, 0, 0)][:3]
        return int(function(TABLES["x86"][name], *padded))

    return call


@functools.cache
def native(abi: str = "x86_64") -> Call:
    """Return a function that calls the kernel through the syscall instruction."""
    function = ctypes.CDLL(None, use_errno=True)["syscall"]
    function.restype = ctypes.c_long
    function.argtypes = [ctypes.c_long] * 5

    def call(name: str, *arguments: int) -> int:
        padded = [ctypes.c_long(value).value for value in (*arguments, 0, 0, 0, 0)][:4]
        result: int = function(TABLES[abi].get(name) or int(name), *padded)
        return -ctypes.get_errno() if result < 0 else result

    return call


def confined(attempt: Callable[[], int], program: bytes) -> int:
    """Return what `attempt` gives in a child under the filter (its errno as a positive number)."""
    pid = os.fork()
    if pid == 0:
        try:
            process.set_no_new_privs()
            seccomp.load_filter(program, cache.FLAGS)
            os._exit(min(abs(attempt()), 250))
        finally:
            os._exit(251)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@functools.cache
def default_filter() -> bytes:
    return compile_filter(default_profile(DEFAULT))


AF_ALG = 38
SIGCHLD = 17
CLONE_NEWUSER = 0x10000000
REFUSED = [
    ("mount", (), errno.EPERM),
    ("unshare", (CLONE_NEWUSER,), errno.EPERM),
    ("clone", (CLONE_NEWUSER | SIGCHLD,), errno.EPERM),
    ("clone3", (0, 88), errno.ENOSYS),
    ("keyctl", (0, -3), errno.EPERM),
    ("add_key", (), errno.EPERM),
    ("bpf", (), errno.EPERM),
    ("userfaultfd", (), errno.EPERM),
    ("io_uring_setup", (), errno.EPERM),
    ("perf_event_open", (), errno.EPERM),
    ("personality", (0x40000,), errno.EPERM),
    ("reboot", (), errno.EPERM),
    ("kexec_load", (), errno.EPERM),
    ("open_by_handle_at", (), errno.EPERM),
    ("swapon", (), errno.EPERM),
    ("pivot_root", (), errno.EPERM),
    ("settimeofday", (), errno.EPERM),
]


@pytest.mark.parametrize(("name", "arguments", "code"), REFUSED)
@pytest.mark.parametrize("abi", ["x86_64", "x32", "x86"])
@withstands("calls", "keyctl, add_key")
def test_refused(abi: str, name: str, arguments: tuple[int, ...], code: int) -> None:
    call = _caller(abi)
    assert confined(lambda: call(name, *arguments), default_filter()) == code


def _caller(abi: str) -> Call:
    if abi != "x86":
        return native(abi)  # x32 is judged even where the kernel was built without it
    if not _has_int_80():
        pytest.skip("this kernel has no 32-bit ABI")
    return i386()


@functools.cache
def _has_int_80() -> bool:
    """Tell whether the kernel serves int 0x80, in a child that a signal may end."""
    pid = os.fork()
    if pid == 0:
        faulthandler.disable()
        os._exit(0 if i386()("getpid") == os.getpid() else 1)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("abi", ["x86_64", "x86"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("getppid", ()),
        ("personality", (0xFFFFFFFF,)),
        ("personality", (8,)),
        ("umask", (0o22,)),
        ("sched_yield", ()),
    ],
)
def test_allowed(abi: str, name: str, arguments: tuple[int, ...]) -> None:
    call = _caller(abi)
    expected = 0

    def attempt() -> int:
        return int(call(name, *arguments) < 0)

    assert confined(attempt, default_filter()) == expected


@pytest.mark.parametrize(("family", "code"), [(1, 0), (AF_ALG, errno.EPERM), (40, errno.EPERM)])
@withstands("calls", "sockets of families that reach the hypervisor or the kernel's crypto")
def test_sockets_of_two_families_are_refused(family: int, code: int) -> None:
    assert confined(lambda: min(native()("socket", family, 2), 0), default_filter()) == code


def test_sockets_of_32_bit_programs_follow_their_own_door() -> None:
    call = _caller("x86")
    assert confined(lambda: call("socket", AF_ALG, 5), default_filter()) == errno.EPERM
    # Behind socketcall the family lies in memory: the kernel looks for it at address 0.
    assert confined(lambda: call("socketcall", 1, 0), default_filter()) == errno.EFAULT


def test_calls_newer_than_the_profile_are_unknown() -> None:
    assert confined(lambda: native()("600"), default_filter()) == errno.ENOSYS


@withstands("calls", "the same through x32 calls")
def test_unlisted_abis_are_killed() -> None:
    profile = {**default_profile(DEFAULT), "architectures": []}
    call = _caller("x86")
    assert confined(lambda: call("getpid"), compile_filter(profile)) == -31  # SIGSYS


def test_a_kept_filter_is_taken_by_the_kernel(tmp_path: Path) -> None:
    program = Path(cache.filter_file(DEFAULT, str(tmp_path))).read_bytes()
    assert confined(lambda: native()("mount"), program) == errno.EPERM


@pytest.mark.parametrize("action", ["ERRNO", "KILL_PROCESS", "KILL_THREAD", "TRAP", "LOG", "ALLOW"])
def test_actions(action: str) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["getppid"], "action": f"SCMP_ACT_{action}"}],
    }
    if action == "ERRNO":
        profile["syscalls"][0]["errnoRet"] = 77  # type: ignore[index]
    expected = {"ERRNO": 77, "LOG": 0, "ALLOW": 0}.get(action, -31)
    assert confined(lambda: min(native()("getppid"), 0), compile_filter(profile)) == expected
