"""The host's devices in containers: how they are asked for, and what is made of it."""

import os
import stat
from pathlib import Path

import pytest

from onggi.engine import devices
from onggi.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "path", "access"),
    [
        ("/dev/null", "/dev/null", "rwm"),
        ("/dev/null:/dev/other", "/dev/other", "rwm"),
        ("/dev/null:r", "/dev/null", "r"),
        ("/dev/null:mw", "/dev/null", "mw"),
        ("/dev/null:/dev/other:rw", "/dev/other", "rw"),
    ],
)
def test_a_device(text: str, path: str, access: str) -> None:
    (node,), (rule,) = devices.asked(text)
    status = os.stat("/dev/null")
    assert node == {
        "path": path,
        "type": "c",
        "major": 1,
        "minor": 3,
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
    assert rule == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": access}


@pytest.mark.parametrize(
    "text",
    [
        "/dev/null:",
        "/dev/null:/dev/x:",
        "/dev/null::rw",
        "/dev/null:rr",
        "/dev/null:rwx",
        "/dev/null:dev/x",
        "/dev/null:/dev/x:rwb",
        "/dev/null:/dev/x:/dev/y",
        "/dev/null:/dev/x:rw:r",
        "null",
    ],
)
def test_other_forms(text: str) -> None:
    with pytest.raises(InvalidInput, match="^invalid device specification: " + text):
        devices.asked(text)


def test_device_that_is_not_there() -> None:
    with pytest.raises(InvalidInput) as caught:
        devices.asked("/dev/not-there")
    assert str(caught.value) == "no device at /dev/not-there: no such file or directory"


def test_other_files_are_no_devices(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"^not a device node: /"):
        devices.asked(f"{tmp_path}:/dev/x")


def test_a_directory_stands_for_the_devices_in_it() -> None:
    nodes, rules = devices.asked("/dev:/dev/host:r")
    paths = [node["path"] for node in nodes]
    assert {"/dev/host/null", "/dev/host/urandom"} < set(paths)
    assert not {"/dev/host/ptmx", "/dev/host/console", "/dev/host/stdin"} & set(paths)
    assert all(path.startswith("/dev/host/") for path in paths)
    assert [rule["access"] for rule in rules] == ["r"] * len(nodes)


def test_every_device_of_the_host() -> None:
    nodes = {node["path"]: node for node in devices.all_of_host()}
    assert (nodes["/dev/null"]["major"], nodes["/dev/null"]["minor"]) == (1, 3)
    assert all(
        stat.S_ISCHR(os.stat(path).st_mode) or node["type"] == "b" for path, node in nodes.items()
    )


def test_where_no_node_can_be_made_the_hosts_is_shown() -> None:
    (mount,) = devices.bound("/dev/null:/dev/nothing:r")
    assert (mount["source"], mount["destination"]) == ("/dev/null", "/dev/nothing")
    below = {mount["destination"]: mount["source"] for mount in devices.bound("/dev:/dev/host")}
    assert below["/dev/host/null"] == "/dev/null"
