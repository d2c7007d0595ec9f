"""`onggi security`: what a container has is found, and what the report says closes it, does."""

import json
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onggi.engine.options import ContainerOptions
from onggi.engine.security import mounts
from onggi.runtime.seccomp import default
from support.box import Box
from support.command import Words
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox", "cgroup-memory", "cgroup-pids")

Report = dict[str, Any]
USUAL = ("DAC_OVERRIDE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP")
UNMASKED = "--security-opt systempaths=unconfined"
GAINING = "--security-opt no-new-privileges=false"
SET_ID = "cp /bin/busybox /bin/as-root; chmod 4755 /bin/as-root; exec sleep 600"

# What is asked for, and what is found then. DIR is a directory of the test's own.
CASES = (
    ("", "rights:user", "medium"),
    ("-u 1000", "rights:user", "low"),
    ("", "rights:root", "low"),
    (GAINING, "rights:no-new-privileges", "medium"),
    ("--privileged", "rights:no-new-privileges", "medium"),
    ("--privileged", "rights:user", "medium"),
    *(("", f"capability:{name}", "low") for name in USUAL),
    ("--cap-add SYS_ADMIN", "capability:SYS_ADMIN", "high"),
    ("--cap-add cap_net_raw", "capability:NET_RAW", "low"),
    ("--cap-add ALL", "capability:SYS_MODULE", "high"),
    ("--privileged", "capability:SYS_MODULE", "high"),
    ("--privileged", "capability:NET_RAW", "low"),
    ("--userns auto --cap-add SYS_ADMIN", "capability:SYS_ADMIN", "low"),
    (f"-u 1000 {GAINING}", "capability:NET_RAW", "low"),
    ("--network host", "capability:NET_RAW", "medium"),
    ("--security-opt seccomp=unconfined", "calls:filter", "medium"),
    ("--privileged", "calls:filter", "medium"),
    ("", "calls:risky", "low"),
    ("--cap-add SYS_ADMIN", "calls:risky", "low"),
    (UNMASKED, "kernel-files:/proc/sys/kernel", "high"),
    (UNMASKED, "kernel-files:/proc/sys/net", "low"),
    (UNMASKED, "kernel-files:unmasked", "medium"),
    (f"{UNMASKED} --network host", "kernel-files:/proc/sys/net", "medium"),
    ("--privileged", "kernel-files:/sys/kernel", "high"),
    ("--privileged", "kernel-files:/sys/fs/cgroup", "medium"),
    ("--privileged", "kernel-files:unmasked", "medium"),
    ("-v /proc:/p", "kernel-files:/p", "high"),
    ("-v /sys:/s", "kernel-files:/s", "high"),
    ("--mount type=bind,source=/proc,target=/p", "kernel-files:/p", "high"),
    ("--network host", "namespace:network", "medium"),
    ("--net host", "namespace:network", "medium"),
    ("--device /dev/kmsg", "device:/dev/kmsg", "medium"),
    ("--device /dev/kmsg:/dev/other:r", "device:/dev/other", "medium"),
    ("--privileged", "device:/dev/kmsg", "medium"),
    ("--privileged", "devices:rules", "high"),
    ("-v /etc:/x", "mount:writable:/x", "high"),
    ("-v /etc:/x", "mount:sensitive:/x", "medium"),
    ("-v /etc:/x:ro", "mount:sensitive:/x", "medium"),
    ("--userns auto -v /etc:/x", "mount:writable:/x", "low"),
    ("-v /:/x", "mount:writable:/x", "high"),
    ("-v DIR:/x", "mount:writable:/x", "low"),
    ("-v DIR:/x:rshared", "mount:shared:/x", "medium"),
    ("--mount type=bind,source=DIR,target=/x", "mount:writable:/x", "low"),
    (
        "--mount type=bind,source=DIR,target=/x,bind-propagation=rshared",
        "mount:shared:/x",
        "medium",
    ),
    ("-v DIR/docker.sock:/x", "mount:socket:/x", "high"),
    ("-v DIR/docker.sock:/x:ro", "mount:socket:/x", "high"),
    ("-v DIR/other:/x", "mount:socket:/x", "medium"),
    (GAINING, "set-id-files", "medium"),
    (f"--userns auto {GAINING}", "set-id-files", "low"),
    ("--pids-limit -1", "bounds:pids", "medium"),
    ("", "bounds:memory", "medium"),
    ("", "bounds:cpus", "low"),
    ("--oom-score-adj -500", "bounds:oom-score", "medium"),
    ("-e DB_PASSWORD=hunter2", "environment:DB_PASSWORD", "low"),
)
KINDS = {
    *("rights:user", "rights:root", "rights:no-new-privileges", "capability", "calls:filter"),
    *("calls:risky", "kernel-files", "kernel-files:unmasked", "namespace", "device"),
    *("devices:rules", "mount:writable", "mount:sensitive", "mount:shared", "mount:socket"),
    *("set-id-files", "bounds:pids", "bounds:memory", "bounds:cpus", "bounds:oom-score"),
    "environment",
}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Give a directory with two sockets, one of them called like an engine's."""
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(str(tmp_path / "docker.sock"))
        other.bind(str(tmp_path / "other"))
        (tmp_path / "profile.json").write_text(json.dumps(_strict_profile()))
        yield tmp_path


def _strict_profile() -> dict[str, Any]:
    """Return the default profile without what is risky in it, whoever holds what."""
    from onggi.engine.security.calls import RISKY

    document = default.document()
    for rule in document["syscalls"]:
        if rule["action"] == default.ALLOW:
            rule["names"] = [name for name in rule["names"] if name not in RISKY]
    return document


def told(box: Box, *words: Words) -> Report:
    found: Report = json.loads(box("security", "--format", "json", *words).stdout)
    return found


def severity(report: Report, name: str) -> str:
    """Return how bad a finding is, "" when there is none of that name."""
    return "".join(one["Severity"] for one in report["Findings"] if one["Name"] == name)


def of_container(box: Box, words: list[str], name: str = "") -> Report:
    """Report on a container that runs with these options, and remove it again."""
    if name == "bounds:oom-score":  # not every host may lower a score
        return told(box, *words, "busybox")
    writes = name == "set-id-files"
    container = box.up(*words, command=("sh", "-c", SET_ID if writes else "exec sleep 600"))
    if writes:
        box.inside(container, "until [ -u /bin/as-root ]; do sleep 0.01; done")
    report = told(box, container)
    assert report["Basis"] == "kernel"
    box("rm", "-f", container)
    return report


def closed(words: list[str], finding: dict[str, str], directory: Path) -> list[str]:
    """Do to the options of `run` what a finding says."""
    left = chunks(words)
    for chunk in chunks(shlex.split(finding["Without"])):
        assert chunk in left, f"{chunk} was never said: {left}"
        left.remove(chunk)
    profile = f"seccomp={directory / 'profile.json'}"
    added = [
        word.replace("seccomp=PROFILE.json", profile) for word in shlex.split(finding["Option"])
    ]
    return [word for chunk in left for word in chunk] + added


def chunks(words: list[str]) -> list[tuple[str, ...]]:
    """Put each option together with its value, and spell it long."""
    long = {"-v": "--volume", "-u": "--user", "-e": "--env"}
    rest, found = list(words), []
    while rest:
        name = rest.pop(0)
        value = () if name in ("--privileged", "--read-only") else (rest.pop(0),)
        found.append((long.get(name, name), *value))
    return found


@pytest.mark.parametrize(("asked", "name", "bad"), CASES)
def test_what_it_finds_can_be_closed(
    box: Box, directory: Path, asked: str, name: str, bad: str
) -> None:
    words = asked.replace("DIR", str(directory)).split()
    before = of_container(box, words, name)
    assert severity(before, name) == bad
    (finding,) = (one for one in before["Findings"] if one["Name"] == name)
    assert finding["Option"] or finding["Without"]
    after = of_container(box, closed(words, finding, directory), name)
    assert severity(after, name) in ("ok", "")


@pytest.mark.parametrize("asked", sorted({one for one, name, _ in CASES if "oom" not in name}))
def test_a_plan_says_what_the_kernel_says(box: Box, directory: Path, asked: str) -> None:
    words = asked.replace("DIR", str(directory)).split()
    seen, planned = of_container(box, words), told(box, *words, "busybox")
    assert planned["Basis"] == "plan"
    # Where the host's root is shown, the container's own is part of it, but only once it is there.
    own = f"kernel-files:/x{box.root}/run/"
    shown = [
        {
            one["Name"]: one["Severity"]
            for one in report["Findings"]
            if not one["Name"].startswith(own)
        }
        for report in (seen, planned)
    ]
    assert shown[0] == shown[1]
    for area in ("capabilities", "calls", "namespaces", "bounds", "mounts", "environment"):
        assert seen["Facts"][area] == planned["Facts"][area]


def test_every_kind_of_finding_is_tried() -> None:
    names = [name for _, name, _ in CASES]
    untried = {
        kind for kind in KINDS if not any(f"{name}:".startswith(f"{kind}:") for name in names)
    }
    assert untried == set()


def test_every_kind_of_finding_is_listed(box: Box) -> None:
    every = ("--privileged", "-v", "/etc:/x", "--network", "host", "-e", "TOKEN=x")
    for report in (told(box, "busybox"), told(box, *every, "busybox")):
        for one in report["Findings"]:
            if one["Severity"] != "ok":
                assert any(f"{one['Name']}:".startswith(f"{kind}:") for kind in KINDS), one


def test_all_of_it_closed_leaves_little(box: Box, directory: Path) -> None:
    """What the last lines of the report say to add, is taken together and closes all of it."""
    printed = box("security", "busybox").stdout
    added = printed.partition("To close all of this\n  add ")[2].split()
    profile = ("--security-opt", f"seccomp={directory / 'profile.json'}")
    assert "0 high   0 medium   0 low" in box("security", *added, *profile, "busybox").stdout
    container = box.up(*added, *profile)
    assert "0 high   0 medium   0 low" in box("security", container).stdout
    assert box.attempt("security", "--fail-on", "low", container).returncode == 0


def test_exit_codes_are_for_tests(box: Box) -> None:
    for words, limit, code in (
        (("busybox",), "high", 0),
        (("busybox",), "medium", 1),
        (("--privileged", "busybox"), "high", 1),
        (("--userns", "auto", "--memory", "64m", "busybox"), "medium", 0),
        (("--userns", "auto", "--memory", "64m", "busybox"), "low", 1),
    ):
        done = box.attempt("security", "--fail-on", limit, *words)
        assert (done.returncode, done.stderr) == (code, "")
    assert box.attempt("security", "--fail-on", "ok", "busybox").returncode == 125


def test_a_container_in_each_state(box: Box) -> None:
    with box.engine() as engine:
        container = engine.containers.create(
            ContainerOptions(image="busybox", command=["sleep", "600"], cap_add=["SYS_TIME"])
        )
        reports = [container.security()]
        container.start().detach()
        reports.append(container.security())
        container.stop(0)
        reports.append(container.security())
    assert [(one.status, one.basis) for one in reports] == [
        ("created", "plan"),
        ("running", "kernel"),
        ("exited", "plan"),
    ]
    found = [{one.name: one.severity for one in report.findings} for report in reports]
    assert found[0] == found[1] == found[2]
    assert found[0]["capability:SYS_TIME"] == "medium"


def test_the_kernel_counts_and_not_the_record(box: Box) -> None:
    """A limit that somebody lifted from outside is no limit, whatever was asked for."""
    from support.box import cgroup_file

    container = box.up("--pids-limit", "100", "--memory", "64m")
    assert severity(told(box, container), "bounds:pids") == "ok"
    cgroup_file(box.pid(container), "pids.max").write_text("max")
    assert severity(told(box, container), "bounds:pids") == "medium"
    assert severity(told(box, container), "bounds:memory") == "ok"


def test_a_process_that_exec_gave_more(box: Box) -> None:
    container = box.up()
    assert "by exec" not in box("security", container).stdout
    box("exec", "-d", "--privileged", container, "sleep", "600")
    (more,) = (one for one in told(box, container)["Findings"] if "by exec" in one["What"])
    assert more["Severity"] == "high"
    assert "SYS_MODULE" in more["What"]
    assert more["Option"] == more["Without"] == ""


def test_names_inside_are_data(box: Box) -> None:
    escape = "\x1b[31mred\nnew line"
    script = f"cp /bin/busybox '/bin/{escape}'; chmod 4755 '/bin/{escape}'; exec sleep 600"
    container = box.up(command=("sh", "-c", script))
    box.inside(container, f"until [ -u '/bin/{escape}' ]; do sleep 0.01; done")
    printed = box("security", container).stdout
    assert "\x1b" not in printed
    assert r"/bin/\x1b[31mred\nnew line (set-user-ID)" in printed
    (file,) = told(box, container)["Facts"]["set-id-files"]
    assert file["Path"] == f"/bin/{escape}"


def test_links_in_the_root_lead_nowhere(box: Box) -> None:
    """Neither the walk over files, nor over devices, nor the kernel's files, leaves the root."""
    script = "ln -s / /all; ln -s /proc/1/root /root; ln -s /proc /dev/here; ln -s .. /dev/up; "
    container = box.up(command=("sh", "-c", f"{script} exec sleep 600"))
    box.inside(container, "until [ -L /dev/up ]; do sleep 0.01; done")
    report = told(box, container)
    assert report["Facts"]["set-id-files"] == []
    assert {node["Path"] for node in report["Facts"]["devices"]["Nodes"]} == {
        f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")
    }


def test_an_engine_s_socket_in_a_directory_that_is_shown(
    box: Box, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To connect to a socket, it is enough to read: that the mount is read-only closes nothing."""
    monkeypatch.setattr(mounts, "_USUAL_SOCKETS", (str(directory / "docker.sock"),))
    monkeypatch.setitem(mounts._SENSITIVE, str(directory), "what is tried")
    options = ContainerOptions(image="busybox", volumes=[f"{directory}:/x:ro"])
    with box.engine() as engine:
        (finding,) = (
            one for one in engine.security(options).findings if one.name == "mount:sensitive:/x"
        )
    assert finding.severity == "high"
    assert f"the socket {directory}/docker.sock" in finding.what


def test_the_values_of_secrets_are_not_shown(box: Box) -> None:
    words = ("-e", "API_TOKEN=hunter2", "busybox")
    assert "hunter2" not in box("security", *words).stdout + json.dumps(told(box, *words))
    assert severity(told(box, *words), "environment:API_TOKEN") == "low"


def test_what_it_is_asked_about(box: Box) -> None:
    container = box.up("--name", "busybox")
    assert told(box, "busybox")["Id"] == container
    assert told(box, "--type", "image", "busybox")["Kind"] == "image"
    assert told(box, "--read-only", "busybox")["Kind"] == "image"
    assert told(box, "busybox", "sh")["Kind"] == "image"
    for words, why in (
        (("--type", "container", "--read-only", "busybox"), "a container is what it is"),
        (("nobody",), "no such object: nobody"),
        (("--type", "image", "nobody"), "no such image: nobody"),
        (("--type", "volume", "busybox"), "one of container, image"),
    ):
        done = box.attempt("security", *words)
        assert done.returncode != 0
        assert why in done.stderr
    assert box("security", "--format", "{{.Summary.high}}", "busybox").stdout == "0\n"


def test_nothing_is_made_to_report_on_an_image(box: Box) -> None:
    with box.engine() as engine:
        box("security", "-v", "data:/data", "--userns", "auto", "--name", "web", "busybox")
        assert engine.containers.list(all=True) == []
        assert list(engine.volumes.list()) == []
