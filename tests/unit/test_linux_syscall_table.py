"""The table of system calls, held against the profile that uses it and the headers at hand."""

import re
from pathlib import Path

import pytest

from onggi.linux.syscall_table import ABIS, ARCHITECTURES, TABLES, X32_SYSCALL_BIT

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "x86": Path("/usr/include/x86_64-linux-gnu/asm/unistd_32.h"),
    "x32": Path("/usr/include/x86_64-linux-gnu/asm/unistd_x32.h"),
}
NEWEST = 471  # of Linux 7.2
LINE = re.compile(r"#define __NR_(\w+)\s+(\(__X32_SYSCALL_BIT \+ )?(\d+)\)?")


@pytest.mark.parametrize("architecture", HEADERS)
def test_the_table_holds_what_the_headers_say(architecture: str) -> None:
    if not HEADERS[architecture].exists():
        pytest.skip("no kernel headers here")
    table = TABLES[architecture]
    for line in HEADERS[architecture].read_text().splitlines():
        if found := LINE.match(line):
            number = int(found[3]) | (X32_SYSCALL_BIT if found[2] else 0)
            assert table[found[1]] == number


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_number_means_two_calls(architecture: str) -> None:
    table = TABLES[architecture]
    assert len(set(table.values())) == len(table)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_newest_call_is_known_and_nothing_is_forgotten(architecture: str) -> None:
    numbers = {number & ~X32_SYSCALL_BIT for number in TABLES[architecture].values()}
    unused = {"arm": {447}}.get(architecture, set())
    assert set(range(424, NEWEST + 1)) - numbers == unused
    assert max(number for number in numbers if number < 512) == NEWEST


def test_a_new_call_has_one_number_everywhere() -> None:
    for name, number in TABLES["aarch64"].items():
        if number >= 424:
            found = {TABLES[one].get(name, number) & ~X32_SYSCALL_BIT for one in ARCHITECTURES}
            assert found == {number}


@pytest.mark.parametrize(
    ("architecture", "name", "number"),
    [
        ("x86_64", "openat2", 437),
        ("x86_64", "uretprobe", 335),
        ("x86", "socketcall", 102),
        ("x86", "clock_gettime64", 403),
        ("x32", "execve", 520 | X32_SYSCALL_BIT),
        ("x32", "read", X32_SYSCALL_BIT),
        ("aarch64", "execve", 221),
        ("aarch64", "renameat", 38),
        ("arm", "arm_fadvise64_64", 270),
        ("arm", "set_tls", 0xF0005),
    ],
)
def test_samples(architecture: str, name: str, number: int) -> None:
    assert TABLES[architecture][name] == number


def test_what_an_abi_lacks_is_absent() -> None:
    assert "open" not in TABLES["aarch64"]
    assert "accept" not in TABLES["x86"]
    assert "socketcall" not in TABLES["arm"]
    assert "memfd_secret" not in TABLES["arm"]


def test_each_machines_own_abi_comes_first() -> None:
    assert all(machine == abis[0] for machine, abis in ABIS.items())
    assert {abi for abis in ABIS.values() for abi in abis} == set(ARCHITECTURES)
