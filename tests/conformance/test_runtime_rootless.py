"""Containers of an ordinary user: what works, what is refused, and with which words."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.oci_runtimes import Json, without
from support.ordinary import FIRST_ID, UID, Ordinary, ordinary_user
from support.ordinary_runtimes import ALONE, MANY, UserRuntime, mapping
from support.ptys import Terminal
from support.requirements import requires

pytestmark = requires("root", "shared-python", "busybox", "user-namespaces")

_PLACES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
V2 = next((one for one in _PLACES if (one / "cgroup.controllers").exists()), _PLACES[0])


WATCHED = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "listenerPath": "/run/nobody",
    "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
}


@pytest.fixture
def user() -> Iterator[Ordinary]:
    with ordinary_user() as user:
        yield user


@pytest.fixture(
    params=[pytest.param("onggi"), pytest.param("runc", marks=pytest.mark.requires("runc"))]
)
def runtime(request: pytest.FixtureRequest, user: Ordinary) -> Iterator[UserRuntime]:
    made = UserRuntime(request.param, user)
    yield made
    made.clean()


@pytest.fixture
def ours(user: Ordinary) -> Iterator[UserRuntime]:
    made = UserRuntime("onggi", user)
    yield made
    made.clean()


def said(runtime: UserRuntime, *args: str, **members: Any) -> str:
    """Return what a program says in a container with some members of its configuration changed."""

    def change(config: Json) -> None:
        for part in ("process", "linux"):
            config[part].update(members.get(part, {}))
        config["mounts"] += members.get("mounts", [])

    done = runtime.run(*args, change=change)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(runtime: UserRuntime, **members: Any) -> str:
    """Return why such a container is not made."""

    def change(config: Json) -> None:
        for part, changes in members.items():
            if isinstance(changes, dict):
                config[part].update(changes)
            else:
                config[part] += changes

    done = runtime.run("true", change=change)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert not (runtime.root / runtime.made[-1]).exists()
    return done.stderr


def test_root_inside_is_the_user_outside(runtime: UserRuntime) -> None:
    words = said(runtime, "sh", "-c", "id -u; id -g; cat /proc/self/uid_map /proc/self/setgroups")
    assert words.split() == ["0", "0", "0", str(UID), "1", "deny"]


def test_a_life(runtime: UserRuntime) -> None:
    name = runtime.identifier()
    runtime.create(name, runtime.bundle(name, "sleep", "100"))
    assert runtime.state(name)["status"] == "created"
    runtime("start", name)
    pid = runtime.state(name)["pid"]
    assert os.stat(f"/proc/{pid}").st_uid == UID
    assert runtime("exec", name, "sh", "-c", "id -u; cat /proc/1/cmdline").stdout.split("\n") == [
        "0",
        "sleep\x00100\x00",
    ]
    assert runtime.attempt("exec", name, "sh", "-c", "exit 7").returncode == 7
    assert runtime("list", "--quiet").stdout.split() == [name]
    assert runtime.attempt("delete", name).returncode == 1
    runtime("kill", name, "KILL")
    runtime.wait_until(name, "stopped")
    runtime("delete", name)
    assert not (runtime.root / name).exists()


def test_exit_codes(runtime: UserRuntime) -> None:
    assert runtime.run("sh", "-c", "exit 9").returncode == 9
    killed = "busybox sh -c 'kill -9 $$'; exit $?"
    assert runtime.run("sh", "-c", killed).returncode == 137


def test_a_terminal_for_what_exec_runs(runtime: UserRuntime) -> None:
    name = runtime.identifier()
    runtime("run", "--detach", "--bundle", runtime.bundle(name, "sleep", "100"), name)
    line = runtime.line("exec", "--tty", name, "tty")
    with Terminal(["/usr/bin/env", *line]) as terminal:
        terminal.expect("/dev/pts/0")
        assert terminal.wait() == 0


def test_what_spec_writes_runs(runtime: UserRuntime) -> None:
    name = runtime.identifier()
    bundle = runtime.bundle(name, "true")
    (bundle / "config.json").unlink()
    runtime("spec", "--rootless", "--bundle", bundle)
    config = json.loads((bundle / "config.json").read_text())
    assert config["linux"]["uidMappings"] == ALONE
    config["process"] |= {"terminal": False, "args": ["sh", "-c", "id -u; ls /sys/kernel"]}
    config["process"]["env"] = ["PATH=/bin"]
    (bundle / "config.json").write_text(json.dumps(config))
    done = runtime("run", "--bundle", bundle, name)
    assert done.stdout.split()[0] == "0"
    assert len(done.stdout.split()) > 1


@requires("newuidmap")
def test_more_ids_by_the_helpers(runtime: UserRuntime) -> None:
    words = said(
        runtime,
        *("sh", "-c", "id -u; id -G; cat /proc/self/gid_map"),
        process={"user": {"uid": 33, "gid": 34}},
        linux={"uidMappings": MANY, "gidMappings": MANY},
    )
    assert words.split() == ["33", "34", "0", str(UID), "1", "1", str(FIRST_ID), "65536"]


@requires("newuidmap")
def test_more_groups_where_they_are_mapped(ours: UserRuntime) -> None:  # runc has none for users
    words = said(
        ours,
        *("id", "-G"),
        process={"user": {"uid": 33, "gid": 34, "additionalGids": [5, 27]}},
        linux={"uidMappings": MANY, "gidMappings": MANY},
    )
    assert words.split() == ["34", "5", "27"]


@requires("newuidmap")
def test_who_may_not_map_them_is_told_where_it_says_so(ours: UserRuntime) -> None:
    ours.user.give_ranges(count=0)
    text = refused(ours, linux={"uidMappings": MANY, "gidMappings": MANY})
    assert "newuidmap refuses" in text
    assert "/etc/subuid" in text


def test_a_helper_that_is_missing_is_named(ours: UserRuntime) -> None:
    ours.user.env["PATH"] = str(ours.user.home / "bin")
    text = refused(ours, linux={"uidMappings": MANY, "gidMappings": MANY})
    assert "newuidmap is not installed" in text


def test_devices_are_the_hosts(runtime: UserRuntime) -> None:
    script = "stat -c %t:%T /dev/null /dev/zero /dev/tty; echo x > /dev/null"
    assert said(runtime, "sh", "-c", script).split() == ["1:3", "1:5", "5:0"]


def test_a_device_that_is_another_is_refused(ours: UserRuntime) -> None:
    wrong = [{"path": "/dev/null", "type": "c", "major": 1, "minor": 5}]
    assert "/dev/null" in refused(ours, linux={"devices": wrong})


def test_names_and_parameters_of_its_own(runtime: UserRuntime) -> None:
    def change(config: Json) -> None:
        config["linux"]["namespaces"].append({"type": "network"})
        config["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "80"}

    files = ("/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_unprivileged_port_start")
    done = runtime.run("cat", *files, change=change)
    assert done.stdout.split() == ["jar", "80"], done.stderr


def test_clocks_of_its_own(ours: UserRuntime) -> None:
    def change(config: Json) -> None:
        config["linux"]["namespaces"].append({"type": "time"})

    done = ours.run("busybox", "readlink", "/proc/self/ns/time", change=change)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != os.readlink("/proc/self/ns/time")


def test_hooks_have_the_users_rights(runtime: UserRuntime) -> None:
    told = runtime.user.home / "told"

    def change(config: Json) -> None:
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"id -u >> {told}; cat >> {told}"]}
        config["hooks"] = {"createRuntime": [hook], "poststop": [hook]}

    assert runtime.run("true", change=change).returncode == 0
    first, *_, last = told.read_text().splitlines()
    assert first == str(UID)
    assert json.loads(last.removeprefix(str(UID)))["status"] == "stopped"


def test_the_hosts_files_are_shown_where_they_cannot_be_mounted(ours: UserRuntime) -> None:
    """The network is the host's, so no sysfs can be mounted."""
    sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]}
    words = said(ours, "cat", "/proc/self/mountinfo", mounts=[sysfs])
    shown = [line.split() for line in words.splitlines() if " /sys" in line]
    assert "/sys" in [line[4] for line in shown]
    assert all("ro" in line[5].split(",") for line in shown), words


def test_flags_of_the_hosts_mounts_stay(ours: UserRuntime) -> None:
    """That is more than runc does, which keeps none of them for a mount that is to be read-only."""
    place = ours.user.place / "guarded"
    place.mkdir()
    script = 'mount -t tmpfs -o nosuid,nodev,noexec,ro none "$1"; shift; exec "$@"'
    ours.before = ["unshare", "--mount", "sh", "-c", script, "sh", str(place)]
    entry = {"destination": "/given", "type": "bind", "source": str(place)}
    for options in (["rbind", "rw"], ["bind", "ro"]):
        words = said(ours, "cat", "/proc/self/mountinfo", mounts=[{**entry, "options": options}])
        (line,) = (line for line in words.splitlines() if " /given " in line)
        assert {"nosuid", "nodev", "noexec", "ro"} <= set(line.split()[5].split(","))


def test_a_flag_that_cannot_be_taken_off_is_told(ours: UserRuntime) -> None:
    place = ours.user.place / "guarded"
    place.mkdir()
    script = 'mount -t tmpfs -o nosuid none "$1"; shift; exec "$@"'
    ours.before = ["unshare", "--mount", "sh", "-c", script, "sh", str(place)]
    options = ["bind", "suid"]
    entry = {"destination": "/given", "type": "bind", "source": str(place), "options": options}
    assert "take off a flag that the host's mount has" in refused(ours, mounts=[entry])


def test_a_namespace_of_another_container(ours: UserRuntime) -> None:
    first = ours.identifier()
    ours("run", "--detach", "--bundle", ours.bundle(first, "sleep", "100"), first)
    pid = ours.state(first)["pid"]

    def change(config: Json) -> None:
        for kind in ("user", "ipc", "pid"):
            without(config, kind)
            path = f"/proc/{pid}/ns/{kind}"
            config["linux"]["namespaces"].append({"type": kind, "path": path})
        del config["linux"]["uidMappings"], config["linux"]["gidMappings"]
        config["process"]["oomScoreAdj"] = 600

    links = " ".join(f"/proc/self/ns/{kind}" for kind in ("user", "ipc", "pid"))
    done = ours.run(
        "sh",
        "-c",
        f"for one in {links}; do busybox readlink $one; done; cat /proc/self/oom_score_adj",
        change=change,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        *(os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("user", "ipc", "pid")),
        "600",
    ]


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("linux", {"resources": {"memory": {"limit": 1 << 26}}}, "memory"),
        ("process", {"user": {"uid": 5, "gid": 0}}, "user 5 is not mapped"),
        ("process", {"user": {"uid": 0, "gid": 0, "additionalGids": [0]}}, "additional groups"),
        ("linux", {"timeOffsets": {"boottime": {"secs": 9}}}, "time"),
        ("linux", {"seccomp": WATCHED}, "seccomp listener"),
        ("process", {"oomScoreAdj": -1000}, "CAP_SYS_RESOURCE"),
    ],
)
def test_what_takes_privileges_is_refused(
    ours: UserRuntime, part: str, changes: Json, words: str
) -> None:
    assert words in refused(ours, **{part: changes})


def test_a_group_of_a_mount_must_be_mapped(runtime: UserRuntime) -> None:
    shm = {"destination": "/x", "type": "tmpfs", "source": "x", "options": ["gid=5"]}
    assert "gid" in refused(runtime, mounts=[shm])


def test_a_user_namespace_is_needed(runtime: UserRuntime) -> None:
    def change(config: Json) -> None:
        without(config, "user")
        del config["linux"]["uidMappings"], config["linux"]["gidMappings"]

    done = runtime.run("true", change=change)
    assert done.returncode == 1
    assert "user namespace" in done.stderr


def test_a_score_may_be_raised(runtime: UserRuntime) -> None:
    words = said(runtime, "cat", "/proc/self/oom_score_adj", process={"oomScoreAdj": 700})
    assert words.strip() == "700"


def test_what_exec_runs_may_have_another_score(ours: UserRuntime) -> None:
    name = ours.identifier()
    bundle = ours.bundle(name, "sleep", "100")
    ours("run", "--detach", "--bundle", bundle, name)
    process = json.loads((bundle / "config.json").read_text())["process"]
    process |= {"args": ["cat", "/proc/self/oom_score_adj"], "oomScoreAdj": 800}
    (bundle / "process.json").write_text(json.dumps(process))
    (bundle / "process.json").chmod(0o644)
    done = ours("exec", "--process", bundle / "process.json", name)
    assert done.stdout.strip() == "800"


def test_without_control_groups(ours: UserRuntime) -> None:
    name = ours.identifier()
    ours("run", "--detach", "--bundle", ours.bundle(name, "sh", "-c", "sleep 100; true"), name)
    pid = ours.state(name)["pid"]
    for words in (["pause"], ["update", "--pids-limit", "5"], ["events", "--stats"]):
        done = ours.attempt(*words, name)
        assert done.returncode == 1
        assert "no control groups" in done.stderr
    pids = json.loads(ours("ps", "--format", "json", name).stdout)
    assert pids[0] == pid
    assert len(pids) == 2
    ours("kill", "--all", name, "KILL")
    ours.wait_until(name, "stopped")


def test_there_must_be_a_place_to_remember_them(ours: UserRuntime) -> None:
    del ours.user.env["XDG_RUNTIME_DIR"]
    done = ours.attempt("list")
    assert done.returncode == 1
    assert "XDG_RUNTIME_DIR" in done.stderr
    assert ours("--root", ours.user.home / "elsewhere", "list", "--quiet").stdout == ""


def test_what_remembers_nothing_needs_no_place(ours: UserRuntime) -> None:
    del ours.user.env["XDG_RUNTIME_DIR"]
    assert json.loads(ours("features").stdout)["ociVersionMax"]
    ours("spec", "--rootless", "--bundle", ours.user.home)
    assert (ours.user.home / "config.json").exists()


@pytest.fixture
def part() -> Iterator[Path]:
    """Give a part of cgroup v2 that was delegated to the user, whose processes are below it."""
    top = V2 / f"onggi-test-{uuid.uuid4().hex[:8]}"
    (top / "session").mkdir(parents=True)
    for place in (top, top / "session"):
        for name in ("", "cgroup.procs", "cgroup.subtree_control"):
            os.chown(place / name, UID, UID)
    yield top
    for directory, _, _ in os.walk(top, topdown=False):
        os.rmdir(directory)


@requires("cgroup2")
def test_a_part_of_cgroup_v2_that_was_delegated(ours: UserRuntime, part: Path) -> None:
    script = 'echo 0 > "$1/session/cgroup.procs"; shift; exec "$@"'
    ours.before = ["sh", "-c", script, "sh", str(part)]
    name = ours.identifier()
    ours("run", "--detach", "--bundle", ours.bundle(name, "sleep", "100"), name)
    try:
        group = part / "onggi" / name
        pid = ours.state(name)["pid"]
        assert (group / "cgroup.procs").read_text().split() == [str(pid)]
        ours("pause", name)
        assert ours.state(name)["status"] == "paused"
        ours("resume", name)
        ours("exec", "--detach", name, "sleep", "100")
        assert len(json.loads(ours("ps", "--format", "json", name).stdout)) == 2
        ours("kill", name, "KILL")
        ours.wait_until(name, "stopped")
    finally:
        ours("delete", "--force", name)
    assert not group.exists()


@requires("cgroup2")
@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"devices": [{"allow": True, "access": "rwm"}]}, "device rules are the host's root's"),
        ({"rdma": {"none": {"hcaHandles": 1}}}, "that was delegated to this user"),
    ],
)
def test_an_update_says_what_a_user_lacks(
    ours: UserRuntime, part: Path, tmp_path: Path, resources: Json, said: str
) -> None:
    ours.before = ["sh", "-c", 'echo 0 > "$1/session/cgroup.procs"; shift; exec "$@"', "sh"]
    ours.before.append(str(part))
    name = ours.identifier()
    ours("run", "--detach", "--bundle", ours.bundle(name, "sleep", "100"), name)
    (tmp_path / "wanted").write_text(json.dumps(resources))
    with (tmp_path / "wanted").open() as wanted:
        done = ours.attempt("update", "--resources", "-", name, stdin=wanted)
    ours("delete", "--force", name)
    assert done.returncode == 1
    assert said in done.stderr


@requires("cgroup2")
def test_no_part_is_used_where_none_is_wanted(ours: UserRuntime, part: Path) -> None:
    script = 'echo 0 > "$1/session/cgroup.procs"; shift; exec "$@"'
    ours.before = ["sh", "-c", script, "sh", str(part)]
    name = ours.identifier()
    bundle = ours.bundle(name, "cat", "/proc/self/cgroup")
    done = ours("--cgroup-manager", "disabled", "run", "--bundle", bundle, name)
    assert f"0::/{part.name}/session\n" in done.stdout


def test_root_of_a_namespace_of_ones_own(runtime: UserRuntime) -> None:
    """As engines call a runtime that are in a user namespace themselves."""
    name = runtime.identifier()

    def change(config: Json) -> None:
        without(config, "user")
        del config["linux"]["uidMappings"], config["linux"]["gidMappings"]

    bundle = runtime.bundle(name, "sh", "-c", "id -u; cat /proc/self/uid_map", change=change)
    program = runtime.line()[-1]
    words = ["unshare", "--user", "--map-root-user", "--mount", program]
    done = subprocess.run(
        runtime.user.as_user(*words, "run", "--bundle", bundle, name),
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "0", str(UID), "1"]


def test_a_namespace_inside_ones_own(ours: UserRuntime) -> None:
    name = ours.identifier()
    again = [{"containerID": 0, "hostID": 0, "size": 1}]
    script = "id -u; echo x > /dev/null; touch /made"
    bundle = ours.bundle(name, "sh", "-c", script, change=lambda config: mapping(config, again))
    words = ["unshare", "--user", "--map-root-user", "--mount", ours.line()[-1]]
    done = ours.own(*words, "run", "--bundle", bundle, name)
    assert done.stdout.split() == ["0"]
    assert (bundle / "rootfs/made").stat().st_uid == UID
