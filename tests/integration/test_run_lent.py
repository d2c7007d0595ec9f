"""What a container gets from others: volumes, hosts, devices, and words from files."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.box import Box
from support.command import root_of_module
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox")

# A number for local use, which no driver answers: who may open it is told so, others are refused.
OPEN = "mknod /tmp/node c 240 7 && : </tmp/node"


@pytest.fixture(scope="module")
def jar() -> Iterator[Box]:
    command = Box(root_of_module("lent"))
    command("bootstrap", "busybox")
    yield command
    command("system", "reset", "--force")


@pytest.fixture(autouse=True)
def empty(jar: Box) -> Iterator[None]:
    yield
    jar.empty()


def test_volumes_of_another_container(jar: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host")
    lender = jar.up("-v", "/unnamed", "-v", "named:/named", "-v", f"{tmp_path}:/host:ro")
    jar.inside(lender, "echo lent >/unnamed/file")
    took = ("--volumes-from", lender)
    assert jar.sh("cat /unnamed/file /host/file", *took) == "lent\nof the host"
    assert jar.sh("echo more >/named/file; cat /named/file", *took) == "more"
    assert "Read-only" in jar.sh("touch /host/x 2>&1 || true", *took)
    read_only = ("--volumes-from", f"{lender}:ro")
    assert "Read-only" in jar.sh("touch /named/x 2>&1 || true", *read_only)
    assert jar.sh("ls /named", *took, "-v", "mine:/named") == ""


def test_lent_volumes_stay_with_whoever_has_them(jar: Box) -> None:
    lender = jar.up("-v", "/unnamed")
    jar.inside(lender, "echo lent >/unnamed/file")
    borrower = jar.up("--volumes-from", lender)
    jar("rm", "--force", "--volumes", lender)
    assert jar.inside(borrower, "cat /unnamed/file") == "lent"
    jar("rm", "--force", "--volumes", borrower)
    assert not jar("volume", "ls", "--quiet").stdout


def test_further_hosts(jar: Box) -> None:
    added = ("--add-host", "db:10.1.2.3", "--add-host", "six=[fd00::1]")
    lines = jar.sh("cat /etc/hosts", *added).splitlines()
    assert lines[-2:] == ["10.1.2.3\tdb", "fd00::1\tsix"]
    host = jar.sh("cat /etc/hosts", "--network", "host", "--add-host", "here:host-gateway")
    assert host.splitlines()[-1] == "127.0.0.1\there"


def test_devices_that_it_makes_itself(jar: Box) -> None:
    def opening(*words: str) -> str:
        return jar.attempt("run", "--rm", *words, "busybox", "sh", "-c", OPEN).stderr

    assert "Operation not permitted" in opening()
    assert "Operation not permitted" in opening("--device-cgroup-rule", "c 240:8 rwm")
    for rule in ("c 240:7 rm", "c 240:* rwm", "a *:* rwm"):
        assert "No such device" in opening("--device-cgroup-rule", rule)


def test_labels_from_a_file_and_annotations(jar: Box, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("# who\nteam=jars\nplain\nlast=file\n")
    words = ("--label-file", file, "--label", "last=option", "--annotation", "org.example=1")
    identity = jar.up(*words)
    labels = json.loads(jar.see(identity, "json .Config.Labels"))
    assert labels == {"team": "jars", "plain": "", "last": "option"}
    assert json.loads(jar.see(identity, "json .HostConfig.Annotations")) == {"org.example": "1"}
    with jar.engine() as engine:
        config = engine.containers.get(identity).record["config"]
    assert config["annotations"] == {**labels, "org.example": "1"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--volumes-from", "nobody"), "no such container: nobody"),
        (("--volumes-from", "nobody:up"), "invalid mode for volumes-from: 'up'"),
        (("--add-host", "db"), "bad format for add-host: 'db'"),
        (("--add-host", "db:host-gateway"), "network 'none' has no gateway"),
        (("--device-cgroup-rule", "c 1:3"), "invalid device cgroup format 'c 1:3'"),
        (("--device-cgroup-rule", "d 1:3 r"), "invalid device cgroup format"),
        (("--device-cgroup-rule", "c 1:-3 r"), "invalid device cgroup format"),
        (("--label-file", "/no/such"), "cannot read label file /no/such"),
        (("--annotation", "word"), 'invalid argument "word" for "--annotation"'),
    ],
)
def test_refusals(jar: Box, words: tuple[str, ...], said: str) -> None:
    done = jar.attempt("run", "--rm", *words, "busybox", "true")
    assert done.returncode in (1, 125)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not jar("ps", "--all", "--quiet").stdout
