"""Containers in the PID namespace of another, whose processes look on while they are made."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from onggi.linux import capability, channel, mount
from onggi.runtime import joined
from onggi.runtime.steps import mounts, namespaces
from onggi.runtime.steps.base import Context
from onggi.runtime.stub import stub
from support.box import until
from support.child import run_in_child
from support.looking import RACER, WATCHER
from support.oci_runtimes import Json, OciRuntime, mapped, wait_for_end
from support.programs import compiled
from support.ptys import Terminal
from support.requirements import requires
from support.threats import BUNDLE, withstands

pytestmark = requires("root", "busybox", "compiler")

MAY_TRACE = [
    "CAP_AUDIT_WRITE",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_PTRACE",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_KILL",
]
ROUNDS = 15


def tracer(config: Json) -> None:
    """Let a container trace what it can name."""
    config["process"]["capabilities"] = dict.fromkeys(
        ("bounding", "effective", "permitted"), MAY_TRACE
    )


def joins(pid: int, *more: Callable[[Json], object]) -> Callable[[Json], None]:
    """Return what puts a container into the PID namespace of a process."""

    def change(config: Json) -> None:
        for entry in config["linux"]["namespaces"]:
            if entry["type"] == "pid":
                entry["path"] = f"/proc/{pid}/ns/pid"
        for one in more:
            one(config)

    return change


def up(
    ours: OciRuntime, *args: str, change: Callable[[Json], object] = lambda _config: None
) -> str:
    """Start a container in the background; return its name."""
    name = ours.identifier()
    bundle = ours.bundle(name, *args, change=change)
    (bundle / "rootfs/proc").mkdir()
    ours("run", "--detach", "--bundle", bundle, name)
    return name


def watched(ours: OciRuntime, source: str, place: Path) -> tuple[str, Path]:
    """Start a container whose first process looks at all others; return its name and output."""
    name = ours.identifier()
    bundle = ours.bundle(name, "/watch", change=tracer)
    shutil.copy(compiled(source, place), bundle / "rootfs/watch")
    output = place / "seen"
    with output.open("w") as stream:
        ours("run", "--detach", "--bundle", bundle, name, stdout=stream)
    return name, output


@withstands(
    "own program",
    "looked at through /proc while it is made in the PID namespace of others",
    by=BUNDLE,
)
@pytest.mark.time_limit(240)
@pytest.mark.parametrize("source", [RACER, WATCHER], ids=["files and memory", "rights"])
@pytest.mark.parametrize("kind", ["run", "create", "exec"])
def test_who_is_joined_sees_nothing_of_what_makes_a_container(
    ours: OciRuntime, tmp_path: Path, source: str, kind: str
) -> None:
    """The one that looks has CAP_SYS_PTRACE, and may read and write what it can open."""
    name, output = watched(ours, source, tmp_path)
    pid = ours.state(name)["pid"]
    second = up(ours, "sleep", "100", change=joins(pid)) if kind == "exec" else ""
    for _ in range(ROUNDS):
        if kind == "run":
            assert ours.run("true", change=joins(pid)).returncode == 0
        elif kind == "create":
            third = ours.identifier()
            ours.create(third, ours.bundle(third, "true", change=joins(pid)))
            ours("start", third)
            ours("delete", "--force", third)
        else:
            ours("exec", second, "true")
    (output.parent / "stop").touch()
    Path(f"/proc/{pid}/root/stop").touch()
    wait_for_end(pid, 60)
    *found, counts = output.read_text().strip().splitlines()
    assert not found, found[:3]
    assert int(counts.split()[1]) >= 5, "nothing was seen"


def test_it_has_the_namespace_s_procfs_and_lives_in_it(ours: OciRuntime) -> None:
    first = up(ours, "sleep", "100")
    pid = ours.state(first)["pid"]
    script = "cat /proc/1/cmdline; cat /proc/self/attr/current /dev/null; echo; echo $PPID"
    done = ours.run("sh", "-c", script, change=joins(pid))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sleep\x00100\x00")
    second = up(ours, "sleep", "100", change=joins(pid))
    there = ours.state(second)["pid"]
    assert os.readlink(f"/proc/{there}/ns/pid") == os.readlink(f"/proc/{pid}/ns/pid")
    assert os.readlink(f"/proc/{there}/ns/mnt") != os.readlink(f"/proc/{pid}/ns/mnt")
    ours("delete", "--force", first)  # with process 1 all others of its namespace end
    wait_for_end(there)


@pytest.mark.parametrize("restricted", [True, False])
def test_created_it_waits_and_is_started_as_others_are(
    ours: OciRuntime, tmp_path: Path, restricted: bool
) -> None:
    def change(config: Json) -> None:
        config["process"]["noNewPrivileges"] = restricted
        config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
        }

    first = up(ours, "sleep", "100")
    second = ours.identifier()
    script = "mkdir /tmp/made; echo $? $(cat /proc/self/stat | cut -d' ' -f1) >/out; exec sleep 100"
    bundle = ours.bundle(second, "sh", "-c", script, change=joins(ours.state(first)["pid"], change))
    shutil.copy("/bin/busybox", bundle / "rootfs/bin/mkdir")
    shutil.copy("/bin/busybox", bundle / "rootfs/bin/cut")
    ours.create(second, bundle, "--pid-file", tmp_path / "pid")
    created = ours.state(second)
    assert created["status"] == "created"
    assert (tmp_path / "pid").read_text() == str(created["pid"])
    capabilities = Path(f"/proc/{created['pid']}/status").read_text()
    assert (
        f"CapPrm:\t{capability.mask(('CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE')):016x}"
        in capabilities
    )
    ours("start", second)
    assert ours.state(second)["status"] == "running"
    out = bundle / "rootfs/out"
    until(lambda: out.exists() and out.read_text().endswith("\n"))
    assert out.read_text().split()[0] == "1"


def test_what_cannot_be_executed_is_told(ours: OciRuntime) -> None:
    pid = ours.state(up(ours, "sleep", "100"))["pid"]
    done = ours.run("missing", change=joins(pid))
    assert done.returncode == 1
    assert "executable file not found in $PATH" in done.stderr
    name = ours.identifier()
    bundle = ours.bundle(name, "/tmp/text", change=joins(pid))
    (bundle / "rootfs/tmp/text").write_text("no program\n")
    (bundle / "rootfs/tmp/text").chmod(0o755)
    ours.create(name, bundle)
    done = ours.attempt("start", name)
    assert "exec format error" in done.stderr
    assert ours.state(name)["status"] == "stopped"


def test_it_has_a_terminal_of_its_own(ours: OciRuntime) -> None:
    def terminal(config: Json) -> None:
        config["process"]["terminal"] = True

    pid = ours.state(up(ours, "sleep", "100"))["pid"]
    name = ours.identifier()
    script = "tty; stat -c %t /dev/console; read line; echo heard $line"
    bundle = ours.bundle(name, "sh", "-c", script, change=joins(pid, terminal))
    with Terminal(ours.line("run", "--bundle", bundle, name)) as person:
        shown = person.expect("88")
        assert "/dev/pts/0" in shown
        person.enter("me\n")
        person.expect("heard me")
        assert person.wait() == 0


def owned(bundle: Path) -> Path:
    """Give a bundle to the root of a user namespace, who must reach it."""
    subprocess.run(["chown", "-R", "100000:100000", bundle / "rootfs"], check=True)
    for place in (bundle, bundle.parent):
        place.chmod(0o755)
    return bundle


def test_it_may_have_a_user_namespace_too(ours: OciRuntime) -> None:
    """Nobody of a user namespace may mount the procfs of a namespace of the host's."""

    def without_proc(config: Json) -> None:
        mapped(config)
        config["mounts"] = [one for one in config["mounts"] if one["destination"] != "/proc"]
        config["linux"].pop("readonlyPaths")

    pid = ours.state(up(ours, "sleep", "100"))["pid"]
    name = ours.identifier()
    bundle = owned(ours.bundle(name, "id", "-u", change=joins(pid, without_proc)))
    done = ours.attempt("run", "--bundle", bundle, name)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_both_may_be_another_s(ours: OciRuntime) -> None:
    """As podman's pods have it: user and PID namespace of the first container."""
    first = ours.identifier()
    ours.create(first, owned(ours.bundle(first, "sleep", "100", change=mapped)))
    ours("start", first)
    pid = ours.state(first)["pid"]

    def change(config: Json) -> None:
        config["linux"]["namespaces"].append({"type": "user", "path": f"/proc/{pid}/ns/user"})
        config["linux"].pop("maskedPaths")
        config["mounts"][-1]["options"].append("gid=5")

    name = ours.identifier()
    bundle = owned(ours.bundle(name, "cat", "/proc/1/cmdline", change=joins(pid, change)))
    done = ours.attempt("run", "--bundle", bundle, name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sleep\x00100")


@withstands(
    "own program",
    "looked at through /proc while it is made in the PID namespace of others",
    by=BUNDLE,
)
@pytest.mark.parametrize("shares_processes", [True, False])
def test_what_shows_other_owners_is_opened_before_anything_is_joined(
    ours: OciRuntime, tmp_path: Path, *, shares_processes: bool
) -> None:
    """Who helps with that would else be born among those who are joined, and without the right."""
    first = ours.identifier()
    ours.create(first, owned(ours.bundle(first, "sleep", "1000", change=mapped)))
    ours("start", first)
    pid = ours.state(first)["pid"]
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown/file").touch()

    def change(config: Json) -> None:
        config["linux"]["namespaces"].append({"type": "user", "path": f"/proc/{pid}/ns/user"})
        config["linux"].pop("maskedPaths")
        config["mounts"][-1]["options"].append("gid=5")
        lines = [{"containerID": 0, "hostID": 100_007, "size": 1}]
        shown = {"destination": "/shown", "source": str(tmp_path / "shown"), "type": "bind"}
        config["mounts"].append({**shown, "uidMappings": lines, "gidMappings": lines})
        if shares_processes:
            joins(pid)(config)

    name = ours.identifier()
    bundle = owned(ours.bundle(name, "stat", "-c", "%u:%g", "/shown/file", change=change))
    done = ours.attempt("run", "--bundle", bundle, name)
    assert (done.returncode, done.stdout) == (0, "7:7\n"), done.stderr


@pytest.mark.parametrize("what", ["hooks", "listener"])
def test_what_takes_a_process_of_ours_inside_is_refused(ours: OciRuntime, what: str) -> None:
    def change(config: Json) -> None:
        if what == "hooks":
            config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
        else:
            notify = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
            config["linux"]["seccomp"] = {
                "defaultAction": "SCMP_ACT_ALLOW",
                "listenerPath": "/run/no-such.sock",
                "syscalls": [notify],
            }

    pid = ours.state(up(ours, "sleep", "100"))["pid"]
    name = ours.identifier()
    bundle = ours.bundle(name, "true", change=joins(pid, change))
    done = ours.attempt("create", "--bundle", bundle, name)
    assert done.returncode == 1
    assert "in the PID namespace of others" in json.dumps(done.stderr)
    assert not ours.remains(name)


@withstands(
    "own program", "looked at through /proc while it is made in the PID namespace of others"
)
def test_what_begins_a_procfs_has_nothing_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment others have a name for it, and with that for its root and its descriptors."""

    def look(*_words: object, report_fd: int, stub_fd: int, **_rest: object) -> None:
        found = [os.listdir("/"), *capability.capget(), capability.ambient()]
        open_now = [fd for fd in range(64) if _is_open(fd)]
        channel.send(
            report_fd, json.dumps([*found, open_now == sorted([report_fd, stub_fd])]).encode()
        )
        os._exit(0)

    monkeypatch.setattr(stub, "exec_stub", look)
    ours, theirs = channel.pair()
    stub_fd = stub.sealed()
    child = os.fork()
    if child == 0:
        os.close(ours)
        joined._be_beside(namespaces.JoinNamespace("pid", "/proc/self/ns/pid"), theirs, stub_fd)
    for fd in (theirs, stub_fd):
        os.close(fd)
    root, *sets, alone = json.loads(channel.receive(ours)[0])
    os.close(ours)
    os.waitpid(child, 0)
    assert root == []
    assert sets == [1 << capability.NUMBERS["CAP_SYS_ADMIN"]] * 4
    assert alone, "other descriptors are open"


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@withstands(
    "own program", "looked at through /proc while it is made in the PID namespace of others"
)
def test_what_was_begun_elsewhere_is_proven_to_be_a_procfs(tmp_path: Path) -> None:
    """Who is inside could have had something else begun, and handed over."""

    def body() -> None:
        (tmp_path / "proc").mkdir()
        context = Context()
        mounts.BindRoot(str(tmp_path)).apply(context)
        context.procfs_fds = [mount.fsopen("tmpfs")]
        with pytest.raises(OSError, match="cross-device"):
            mounts.MountFilesystem("proc", "proc", "/proc", ()).apply(context)

    run_in_child(body, "mount")
