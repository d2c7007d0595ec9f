"""What `enter` is told, and how its failures read; what it does is tested in tests/kernel."""

from __future__ import annotations

import errno
import struct

import pytest

from onggi.errors import Unsupported
from onggi.runtime.stub import stub

MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine, elf(5)


@pytest.mark.parametrize("machine", MACHINES)
def test_program_is_one_segment_that_is_never_writable_and_a_stack_that_never_runs(
    machine: str,
) -> None:
    content = stub.program(machine)
    assert struct.unpack_from("<4s", content)[0] == b"\x7fELF"
    assert struct.unpack_from("<H", content, 18)[0] == MACHINES[machine]
    load, stack = (struct.unpack_from("<IIQQQQQQ", content, 64 + 56 * n) for n in range(2))
    assert load[:4] == (1, 5, 0, 0x400000)
    assert load[5] == load[6] == len(content)
    assert stack[:2] == (0x6474E551, 6)
    assert len(content) < 2048


def test_a_machine_without_a_program_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match=r"machine 'vax' .x86_64, aarch64."):
        stub.program("vax")


def test_ps_shows_the_program_behind_its_init() -> None:
    assert stub.arguments([b"sleep", b"100"], init=True) == [b"onggi-init", b"--", b"sleep", b"100"]


def test_orders_come_before_an_environment_that_has_the_same_name() -> None:
    assert stub.environment("/bin/sh", [b"ONGGI_ENTER=mine", b"A=1"], report_fd=5) == [
        b"ONGGI_ENTER=5,,,,/bin/sh",
        b"ONGGI_ENTER=mine",
        b"A=1",
    ]


def test_orders_name_descriptors_and_the_mode() -> None:
    orders = stub.environment(b"/a,b", [], report_fd=0, filter_fd=12, mode=stub.INIT)
    assert orders == [b"ONGGI_ENTER=0,12,,i,/a,b"]


def test_a_label_follows_the_orders() -> None:
    orders = stub.environment(b"/a", [b"A=1"], label_fd=7, label=b"exec mine")
    assert orders == [b"ONGGI_ENTER=,,7,,/a", b"exec mine", b"A=1"]


def test_a_report_of_execve_is_about_the_program() -> None:
    error = stub.failure(b"\x02\0\0\0", "/no/such")
    assert isinstance(error, FileNotFoundError)
    assert error.filename == "/no/such"


def test_a_report_of_another_call_is_not() -> None:
    error = stub.failure(bytes([errno.EINVAL, 0, 2, 0]), "/bin/sh")
    assert (error.errno, error.filename) == (errno.EINVAL, None)
    assert error.syscall == "seccomp"  # type: ignore[attr-defined]
