"""What the security report reads of processes and namespaces, on real ones."""

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.engine.security import network_view, set_id
from onggi.engine.security.facts import HOST, OWN
from onggi.engine.security.observed import namespaces
from onggi.linux import process_status
from support.requirements import requires

pytestmark = requires("root")


@pytest.fixture
def apart() -> Iterator[int]:
    """Give the PID of a process with a network and a host name of its own."""
    line = ["unshare", "--net", "--uts", "sh", "-c", "echo; exec sleep 60"]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
        child.kill()


def test_a_process_is_seen_in_each_namespace(apart: int) -> None:
    found = namespaces(apart, {})
    assert {kind for kind, whose in found.items() if whose == OWN} == {"network", "uts"}
    assert {whose for kind, whose in found.items() if kind not in ("network", "uts")} == {HOST}


def test_who_shares_a_namespace_is_named(apart: int) -> None:
    found = namespaces(apart, {"db": apart, "gone": 0, "web": os.getpid()})
    assert found["network"] == found["uts"] == "shared with db"
    assert found["pid"] == HOST


def interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def test_a_look_from_a_new_network_namespace_changes_nobody_s(apart: int) -> None:
    before = os.readlink("/proc/thread-self/ns/net"), interfaces()
    assert network_view.seen_from("new", interfaces) == ["lo"]
    theirs = network_view.seen_from(
        f"/proc/{apart}/ns/net", lambda: os.readlink("/proc/thread-self/ns/net")
    )
    assert theirs == os.readlink(f"/proc/{apart}/ns/net")
    assert network_view.seen_from("", interfaces) == before[1]
    assert (os.readlink("/proc/thread-self/ns/net"), interfaces()) == before


def test_a_failure_of_the_look_is_the_caller_s() -> None:
    with pytest.raises(FileNotFoundError):
        network_view.seen_from("/proc/0/ns/net", interfaces)
    with pytest.raises(ZeroDivisionError):
        network_view.seen_from("new", lambda: 1 // 0)


def test_a_process_status_is_what_was_set() -> None:
    line = [
        *("setpriv", "--reuid", "1000", "--regid", "1001", "--groups", "5,6"),
        *("--no-new-privs", "--bounding-set", "-all,+chown", "sh", "-c", "echo; exec sleep 60"),
    ]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        status = process_status.read(child.pid)
        child.kill()
    assert (status.uid, status.gid, status.groups) == (1000, 1001, (5, 6))
    assert status.no_new_privs
    assert status.seccomp in (0, 2)
    assert status.capabilities["bounding"] == 1
    assert status.capabilities["permitted"] == status.capabilities["ambient"] == 0


CHOWN_AND_NET_RAW = bytes.fromhex("0100000201200000000000000000000000000000")


def program(path: Path, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    path.chmod(mode)
    return path


def test_programs_with_rights_are_those_of_the_merged_trees(root_dir: Path) -> None:
    upper, lower = root_dir / "upper", root_dir / "lower"
    program(lower / "bin/su", 0o4755)
    program(lower / "bin/write", 0o2755)
    program(lower / "bin/locked", 0o2644)  # no right to execute: the bit gives nothing
    program(lower / "bin/hidden", 0o4755)
    program(lower / "bin/changed", 0o4755)
    program(lower / "gone/su", 0o4755)
    os.setxattr(program(lower / "bin/ping", 0o755), "security.capability", CHOWN_AND_NET_RAW)
    os.mkdir(lower / "shared", 0o2755)
    (lower / "bin/link").symlink_to("su")
    (lower / "all").symlink_to("/")
    program(upper / "bin/changed", 0o755)
    os.mknod(upper / "bin/hidden", stat.S_IFCHR, 0)
    os.mkdir(upper / "gone")
    os.setxattr(upper / "gone", "trusted.overlay.opaque", b"y")
    program(upper / "bin/a\nb", 0o6755)
    none: list[str] = []
    told = [
        (one["Path"], *list(one.values())[1:]) for one in set_id.files([str(upper), str(lower)])
    ]
    assert told == [
        ("/bin/a\nb", True, True, none),
        ("/bin/ping", False, False, ["CHOWN", "NET_RAW"]),
        ("/bin/su", True, False, none),
        ("/bin/write", False, True, none),
    ]
