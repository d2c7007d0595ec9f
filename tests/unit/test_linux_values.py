"""Parsers and tables of the kernel layer, without a kernel."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.linux import (
    capability,
    cgroup,
    mountinfo,
    namespace,
    numbers,
    seccomp,
    signals,
    terminal,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigterm", 15),
        ("15", 15),
        ("9", 9),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
        ("64", 64),
    ],
)
def test_a_signal_has_several_spellings(text: str, number: int) -> None:
    assert signals.parse(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "0", "65", "-9", "SIG", "SIGSIGTERM", "NOPE", "RTMIN+31", "RTMAX-31", "RTMIN+", "٩", "9 "],
)
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no such signal"):
        signals.parse(text)


@pytest.mark.parametrize("number", range(1, 65))
def test_a_signals_name_parses_to_its_number(number: int) -> None:
    assert signals.parse(signals.name(number)) == number


def test_mountinfo_with_optional_fields_and_escapes() -> None:
    line = (
        r"36 35 98:0 /mnt1 /a\040b\134c rw,noatime master:1 propagate_from:2 shared:7 "
        r"- ext3 /dev/my\011root rw,errors=continue"
    )
    (found,) = mountinfo.parse(line + "\n")
    assert (found.id, found.parent, found.major, found.minor) == (36, 35, 98, 0)
    assert (found.root, found.mountpoint) == ("/mnt1", "/a b\\c")
    assert found.options == ("rw", "noatime")
    assert found.optional == ("master:1", "propagate_from:2", "shared:7")
    assert found.shared
    assert (found.fstype, found.source) == ("ext3", "/dev/my\troot")
    assert found.super_options == ("rw", "errors=continue")


def test_mountinfo_with_neither_optional_fields_nor_a_source() -> None:
    (found,) = mountinfo.parse(b"22 27 0:21 / /x\xff rw - tmpfs  rw")
    assert found.optional == ()
    assert not found.shared
    assert found.source == ""
    assert found.mountpoint == "/x\udcff"


def test_a_mount_point_may_look_like_a_separator() -> None:
    (found,) = mountinfo.parse("1 2 0:3 / - rw shared:1 - tmpfs - rw")
    assert (found.mountpoint, found.source) == ("-", "-")


@pytest.mark.parametrize("line", ["", "x"])
def test_a_broken_line_is_an_error_and_an_empty_one_nothing(line: str) -> None:
    if line:
        with pytest.raises((ValueError, IndexError)):
            mountinfo.parse(line)
    else:
        assert mountinfo.parse(line) == []


@given(st.binary().map(lambda raw: raw.replace(b"\0", b"")))
def test_unescaping_gives_back_what_the_kernel_escaped(raw: bytes) -> None:
    escaped = raw
    for byte in b"\\ \t\n#":
        code = b"\\%03o" % byte
        escaped = escaped.replace(bytes([byte]), code)
    assert mountinfo.unescape(escaped).encode("utf-8", "surrogateescape") == raw


def test_memberships_name_each_controller() -> None:
    text = "9:name=systemd:/a\n4:cpu,cpuacct:/b:c\n0::/d\n"
    expected = {"name=systemd": "/a", "cpu": "/b:c", "cpuacct": "/b:c", "": "/d"}
    assert cgroup.parse_memberships(text) == expected


def hierarchy(root: str) -> cgroup.Hierarchy:
    return cgroup.Hierarchy(
        version=1, controllers=("cpu",), name="", mountpoint="/sys/fs/cgroup/cpu", root=root
    )


@pytest.mark.parametrize(
    ("root", "group", "directory"),
    [
        ("/", "/", "/sys/fs/cgroup/cpu"),
        ("/", "/a/b", "/sys/fs/cgroup/cpu/a/b"),
        ("/a", "/a", "/sys/fs/cgroup/cpu"),
        ("/a", "/a/b", "/sys/fs/cgroup/cpu/b"),
    ],
)
def test_a_groups_directory(root: str, group: str, directory: str) -> None:
    assert hierarchy(root).directory(group) == directory


def test_a_group_outside_what_is_mounted_has_no_directory() -> None:
    with pytest.raises(FileNotFoundError):
        hierarchy("/a").directory("/ab")


def test_a_hierarchys_key_is_what_memberships_call_it() -> None:
    systemd = cgroup.Hierarchy(version=1, controllers=(), name="systemd", mountpoint="/", root="/")
    unified = cgroup.Hierarchy(version=2, controllers=("pids",), name="", mountpoint="/", root="/")
    assert (hierarchy("/").key, systemd.key, unified.key) == ("cpu", "name=systemd", "")


def test_a_mask_of_capabilities() -> None:
    assert capability.mask(["CAP_CHOWN", "CAP_BPF"]) == 1 | 1 << 39
    assert sorted(capability.NUMBERS.values()) == list(range(41))
    with pytest.raises(KeyError):
        capability.mask(["CAP_NOTHING"])


@pytest.mark.parametrize("machine", ["riscv64", "32-bit x86_64", ""])
def test_an_unknown_machine_is_refused_and_named(machine: str) -> None:
    with pytest.raises(OSError, match=f"openat2 on {machine}") as caught:
        numbers.number("openat2", machine)
    assert caught.value.errno == errno.ENOSYS


@pytest.mark.parametrize("machine", sorted(numbers.NUMBERS))
def test_the_numbers_are_those_of_the_complete_table(machine: str) -> None:
    from onggi.linux import syscall_table

    table = syscall_table.TABLES[machine]
    assert {name: table[name] for name in numbers.NUMBERS[machine]} == numbers.NUMBERS[machine]


def test_raw_terminal_settings() -> None:
    cooked = terminal.TERMIOS.pack(0x500, 0x5, 0xBF, 0x8A3B, 0, *range(19))
    iflag, oflag, cflag, lflag, line, *characters = terminal.TERMIOS.unpack(
        terminal.raw_settings(cooked)
    )
    assert (iflag, oflag, cflag, lflag, line) == (0, 0x4, 0xBF & ~0o460 | 0o60, 0xA30, 0)
    assert (characters[5], characters[6]) == (0, 1)


@pytest.mark.parametrize("program", [b"", b"1234567", bytes(8 * 4097)])
def test_what_is_no_seccomp_program_never_reaches_the_kernel(program: bytes) -> None:
    with pytest.raises(ValueError, match="no seccomp program"):
        seccomp.load_filter(program)


def test_argument_offsets_are_those_of_struct_seccomp_data() -> None:
    assert struct.calcsize("=iIQ") == seccomp.OFFSET_ARGS
    assert struct.calcsize("=i") == seccomp.OFFSET_ARCH


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kernel.msgmax", "ipc"),
        ("kernel.shm_rmid_forced", "ipc"),
        ("fs.mqueue.msg_max", "ipc"),
        ("net.core.somaxconn", "network"),
        ("kernel.domainname", "uts"),
        ("kernel.hostname", ""),
        ("kernel.panic", ""),
        ("fs.mqueue", ""),
        ("network", ""),
    ],
)
def test_which_namespace_has_a_parameter(name: str, kind: str) -> None:
    assert namespace.of_parameter(name) == kind
