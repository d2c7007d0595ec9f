"""Interfaces of the host that a container gets: moved, renamed, with their addresses, and up.

Each test starts the runtime in a network namespace of its own, which has the interfaces.
"""

import json
import subprocess
from pathlib import Path

import pytest

from support.oci_runtimes import Json, OciRuntime, mapped
from support.requirements import requires

pytestmark = requires("root", "busybox", "iproute2")

MADE = """
ip link add spare0 type veth peer name other0
ip link set spare0 mtu 1400 address 02:00:00:00:00:07 up
ip link set other0 up
ip address add 192.0.2.7/24 broadcast 192.0.2.255 dev spare0
ip address add 2001:db8::7/64 dev spare0 nodad
ip link add spare1 type veth peer name other1
"""
SHOW = ["busybox", "ip", "address"]


def run_beside(
    ours: OciRuntime, *args: str, devices: Json, before: str = MADE, **linux: Json
) -> subprocess.CompletedProcess[str]:
    """Run a program in a container that gets `devices` of a namespace made by `before`."""

    def change(config: Json) -> None:
        config["linux"] |= {"netDevices": devices, **linux}

    return run_changed(ours, *args, change=change, before=before)


def run_changed(
    ours: OciRuntime, *args: str, change: object, before: str = MADE
) -> subprocess.CompletedProcess[str]:
    name = ours.identifier()
    bundle = ours.bundle(name, *args, change=change)  # type: ignore[arg-type]
    config = json.loads((bundle / "config.json").read_text())
    if "uidMappings" in config["linux"]:
        subprocess.run(["chown", "-R", "100000:100000", bundle / "rootfs"], check=True)
        for place in (bundle, bundle.parent):
            place.chmod(0o755)
    line = ours.line("run", "--bundle", bundle, name)
    script = f"set -e\n{before}\n" + '"$@" && code=0 || code=$?; ip -br link >&2; exit $code'
    return subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script, "sh", *line],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_a_device_comes_with_what_it_has(ours: OciRuntime) -> None:
    done = run_beside(ours, *SHOW, "show", "dev", "eth0", devices={"spare0": {"name": "eth0"}})
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert "mtu 1400" in shown
    assert ",UP" in shown
    assert "02:00:00:00:00:07" in shown
    assert "inet 192.0.2.7/24 brd 192.0.2.255 scope global" in shown
    assert "inet6 2001:db8::7/64 scope global" in shown
    assert "spare0" not in done.stderr  # as the host's side lists what is left
    assert "spare1" in done.stderr


def test_a_name_may_stay_or_be_a_template(ours: OciRuntime) -> None:
    devices: Json = {"spare0": {"name": "net%d"}, "spare1": {}}
    done = run_beside(ours, *SHOW, devices=devices)
    assert done.returncode == 0, done.stderr
    assert "net0" in done.stdout
    assert "spare1" in done.stdout


def test_parameters_of_a_moved_device_can_be_set(ours: OciRuntime) -> None:
    done = run_beside(
        ours,
        *("cat", "/proc/sys/net/ipv4/conf/eth0/accept_local"),
        devices={"spare0": {"name": "eth0"}},
        sysctl={"net.ipv4.conf.eth0.accept_local": "1"},
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_into_a_namespace_that_exists(ours: OciRuntime, tmp_path: Path) -> None:
    place = tmp_path / "namespace"
    place.touch()
    made = f"{MADE}\nunshare --net={place} ip link add eth0 type bridge"

    def change(config: Json) -> None:
        (network,) = (one for one in config["linux"]["namespaces"] if one["type"] == "network")
        network["path"] = str(place)
        config["linux"]["netDevices"] = {"spare0": {"name": "eth1"}, "spare1": {"name": "eth2"}}

    done = run_changed(ours, *SHOW, change=change, before=made)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("eth0", "eth1", "eth2", "192.0.2.7"))

    def collide(config: Json) -> None:
        change(config)
        config["linux"]["netDevices"] = {"spare0": {"name": "eth0"}}

    done = run_changed(ours, *SHOW, change=collide, before=made)
    assert done.returncode == 1
    assert "the container has an interface of that name" in done.stderr


def test_hooks_see_the_device_where_it_is(ours: OciRuntime, tmp_path: Path) -> None:
    def change(config: Json) -> None:
        config["linux"]["netDevices"] = {"spare0": {}}
        script = "nsenter --net=/proc/$(sed 's/.*\"pid\": *//; s/[^0-9].*//')/ns/net ip -br link"
        args = ["sh", "-c", f"{script} > {tmp_path}/seen"]
        config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": args}]}

    done = run_changed(ours, "true", change=change)
    assert done.returncode == 0, done.stderr
    assert "spare0" in (tmp_path / "seen").read_text()


def test_in_a_user_namespace(ours: OciRuntime) -> None:
    def change(config: Json) -> None:
        mapped(config)
        config["linux"]["netDevices"] = {"spare0": {"name": "eth0"}}

    done = run_changed(ours, *SHOW, "show", "dev", "eth0", change=change)
    assert done.returncode == 0, done.stderr
    assert "inet 192.0.2.7/24" in done.stdout


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ({"missing0": {}}, "missing0"),
        ({"spare0": {"name": "lo"}}, "the container has an interface of that name"),
        ({"spare0": {"name": "a/b"}}, "invalid network device name 'a/b'"),
        ({"spare0": {"name": "a-name-of-16-byt"}}, "invalid network device name"),
        ({"lo": {"name": "eth0"}}, "lo"),
    ],
    ids=str,
)
def test_what_cannot_be_moved(ours: OciRuntime, devices: Json, said: str) -> None:
    done = run_beside(ours, "true", devices=devices)
    assert done.returncode == 1
    assert done.stderr.count("level=error") == 1
    assert said in done.stderr
    assert "spare0" in done.stderr.partition("level=error")[2]  # which is where it was
    assert not ours.remains(ours.made[-1])


def test_without_a_network_namespace(ours: OciRuntime) -> None:
    def change(config: Json) -> None:
        config["linux"]["netDevices"] = {"spare0": {}}
        kept = [one for one in config["linux"]["namespaces"] if one["type"] != "network"]
        config["linux"]["namespaces"] = kept

    done = run_changed(ours, "true", change=change)
    assert done.returncode == 1
    assert "unable to move network devices without a network namespace" in done.stderr


def test_features_say_so(ours: OciRuntime) -> None:
    said = json.loads(ours("features").stdout)
    assert said["linux"]["netDevices"] == {"enabled": True}
