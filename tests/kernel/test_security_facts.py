"""What the security report reads of processes and namespaces, on real ones."""

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from onggi.engine.security import network_view
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
