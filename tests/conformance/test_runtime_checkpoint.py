"""Containers frozen to files and made anew, by criu, with our runtime and with runc.

A program counts; that it goes on from where it was shows that it is the same one.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from support.consoles import drained, listening, received
from support.oci_runtimes import Json, OciRuntime, mapped, processes_of, wait_for_file
from support.patience import SLOWER
from support.requirements import requires

pytestmark = [requires("root", "busybox", "criu"), pytest.mark.time_limit(60)]

# What slept is told by criu that it was interrupted, at which Debian 13's `sleep` ends.
STAYING = ("sh", "-c", "while :; do sleep 100; done")
COUNT = "i=0; while :; do i=$((i+1)); echo $i > /memory/count; sleep 0.02; done"


def with_memory(config: Json) -> None:
    """Give a container a file system in memory, which a checkpoint keeps.

    Its programs may gain privileges, for Debian 12's criu forgets it if they may not.
    """
    config["process"]["noNewPrivileges"] = False
    config["mounts"].append({"destination": "/memory", "type": "tmpfs", "source": "tmpfs"})


class Jar:
    """A container, its bundle and the places of its checkpoint."""

    def __init__(self, runtime: OciRuntime, place: Path) -> None:
        self.runtime = runtime
        self.name = runtime.identifier()
        self.places = ["--image-path", str(place / "images"), "--work-path", str(place / "work")]
        self.work = place / "work"
        self.bundle = Path()

    def start(self, *args: str, change: Callable[[Json], object] = with_memory) -> Self:
        self.bundle = self.runtime.bundle(self.name, *args, change=change)
        null = subprocess.DEVNULL
        words = ("run", "--detach", "--bundle", self.bundle, self.name)
        self.runtime(*words, stdout=null, stderr=null)
        return self

    def checkpoint(self, *words: str) -> None:
        done = self.runtime.attempt("checkpoint", *self.places, *words, self.name)
        assert done.returncode == 0, f"{done.stderr}\n{self.log('dump')}"

    def restore(self, *words: str | Path, name: str = "") -> None:
        line = ["restore", "--detach", "--bundle", self.bundle, *self.places, *words]
        null = subprocess.DEVNULL
        done = self.runtime.attempt(*line, name or self.name, stdout=null, stderr=null)
        assert done.returncode == 0, self.log("restore")

    def log(self, kind: str) -> str:
        file = self.work / f"{kind}.log"
        lines = file.read_text().splitlines() if file.exists() else [f"no {file}"]
        return "\n".join(line for line in lines if "Error" in line or "Warn" in line)

    def shell(self, script: str, name: str = "") -> str:
        return self.runtime("exec", name or self.name, "sh", "-c", script).stdout

    def count(self, name: str = "") -> int:
        return int(self.shell("until [ -s /memory/count ]; do :; done; cat /memory/count", name))

    def wait_for_count(self, least: int, name: str = "") -> None:
        deadline = time.monotonic() + 10 * SLOWER
        while self.count(name) < least:
            assert time.monotonic() < deadline, f"it does not count to {least}"


@pytest.fixture
def jar(runtime: OciRuntime, root_dir: Path) -> Iterator[Jar]:
    made = Jar(runtime, root_dir)
    yield made
    for name in runtime.made:
        runtime.attempt("delete", "--force", name)
    for name in runtime.made:
        assert not runtime.remains(name)


@pytest.fixture
def our_jar(ours: OciRuntime, root_dir: Path) -> Jar:
    return Jar(ours, root_dir)


def test_it_goes_on_from_where_it_was(jar: Jar) -> None:
    jar.start("sh", "-c", COUNT)
    jar.wait_for_count(10)
    before = jar.count()
    jar.checkpoint()
    assert not jar.runtime.remains(jar.name)
    assert json.loads(jar.runtime("list", "--format", "json").stdout or "null") in (None, [])
    jar.restore()
    after = jar.count()
    assert after >= before
    jar.wait_for_count(after + 5)
    assert jar.runtime.state(jar.name)["status"] == "running"


def test_it_is_left_running(jar: Jar) -> None:
    jar.start("sh", "-c", COUNT)
    jar.checkpoint("--leave-running")
    at_the_checkpoint = jar.count()
    jar.wait_for_count(at_the_checkpoint + 20)
    jar.runtime("kill", jar.name, "KILL")
    jar.runtime.wait_until(jar.name, "stopped")
    jar.runtime("delete", jar.name)
    jar.restore()
    assert jar.count() < at_the_checkpoint + 20


def test_two_of_one(our_jar: Jar) -> None:
    """With runc as well, but on cgroup v2 alone it puts both into the cgroup of the first."""
    jar = our_jar.start("sh", "-c", COUNT)
    jar.wait_for_count(5)
    jar.checkpoint()
    other = jar.runtime.identifier()
    jar.restore()
    config = json.loads((jar.bundle / "config.json").read_text())
    config["linux"]["cgroupsPath"] = f"/onggi/{other}"
    (jar.bundle / "config.json").write_text(json.dumps(config))
    jar.restore(name=other)
    for name in (jar.name, other):
        jar.wait_for_count(jar.count(name) + 3, name)
        pid = jar.runtime.state(name)["pid"]
        groups = (processes_of(pid) / "cgroup").read_text().splitlines()
        wanted = [line for line in groups if line.endswith(f"/onggi/{name}")]
        assert wanted, groups
        assert not [line for line in groups if "/onggi/" in line and line not in wanted]


@pytest.mark.parametrize(
    # criu asks for the limits of others, which root alone may not.
    "user",
    [0, pytest.param(7, marks=pytest.mark.requires("capability-sys-resource"))],
)
def test_rights_stay(jar: Jar, user: int) -> None:
    def limited(config: Json) -> None:
        with_memory(config)
        config["process"]["user"] = {"uid": user, "gid": user, "additionalGids": [9]}
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]
        config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
        }

    def rights() -> list[str]:
        pid = jar.runtime.state(jar.name)["pid"]
        status = (processes_of(pid) / "status").read_text().splitlines()
        names = ("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp:")
        limits = (processes_of(pid) / "limits").read_text().splitlines()
        return [line for line in status if line.startswith(names)] + limits

    jar.start(*STAYING, change=limited)
    before = rights()
    jar.checkpoint()
    jar.restore()
    assert rights() == before


def test_that_no_privileges_are_gained(our_jar: Jar) -> None:
    """Either it is kept, or nothing is done with a criu that would forget it."""

    def guarded(config: Json) -> None:
        with_memory(config)
        config["process"]["noNewPrivileges"] = True

    jar = our_jar.start(*STAYING, change=guarded)
    done = jar.runtime.attempt("checkpoint", *jar.places, jar.name)
    if done.returncode:
        assert re.search(r"criu 3\.\d+ forgets noNewPrivileges", done.stderr)
        assert jar.runtime.state(jar.name)["status"] == "running"
        return
    jar.restore()
    pid = jar.runtime.state(jar.name)["pid"]
    assert "NoNewPrivs:\t1\n" in (processes_of(pid) / "status").read_text()


def test_privileges_that_would_be_gained(our_jar: Jar) -> None:
    """As with a criu that forgets: what is restored may do more than the bundle allows."""
    jar = our_jar.start(*STAYING)
    jar.checkpoint()
    config = json.loads((jar.bundle / "config.json").read_text())
    config["process"]["noNewPrivileges"] = True
    (jar.bundle / "config.json").write_text(json.dumps(config))
    line = ["restore", "--detach", "--bundle", str(jar.bundle), *jar.places, jar.name]
    done = jar.runtime.attempt(*line, stdout=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "noNewPrivileges" in done.stderr
    assert not jar.runtime.remains(jar.name)


def test_namespaces_and_names_stay(jar: Jar) -> None:
    jar.start("sh", "-c", COUNT)
    jar.checkpoint()
    jar.restore()
    pid = jar.runtime.state(jar.name)["pid"]
    assert jar.shell("cat /proc/sys/kernel/hostname") == "jar\n"
    assert jar.shell("cat /proc/1/comm") == "sh\n"
    for kind in ("pid", "net", "ipc", "uts", "mnt"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")


def test_what_the_host_lends(jar: Jar, tmp_path: Path) -> None:
    """A directory behind a link of the image's, a file, and other ones at the restoration."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "name").write_text("before")
    (tmp_path / "file").write_text("before")

    def lent(config: Json) -> None:
        with_memory(config)
        for source, target in (("directory", "/etc/given"), ("file", "/etc/file")):
            entry = {"destination": target, "type": "bind", "source": str(tmp_path / source)}
            config["mounts"].append({**entry, "options": ["rbind", "ro"]})

    jar.start(*STAYING, change=lent)
    jar.checkpoint()
    for file in ("directory/name", "file"):
        (tmp_path / file).write_text("after")
    jar.restore()
    assert jar.shell("cat /etc/given/name /etc/file") == "afterafter"
    assert jar.shell("touch /etc/given/x 2>/dev/null || echo no") == "no\n"


def test_a_link_to_what_is_lent(our_jar: Jar, tmp_path: Path) -> None:
    (tmp_path / "name").write_text("lent")
    jar = our_jar

    def lent(config: Json) -> None:
        with_memory(config)
        os.symlink("/etc/real", jar.runtime.root.parent / f"bundle-{jar.name}/rootfs/link")
        entry = {"destination": "/link/there", "type": "bind", "source": str(tmp_path)}
        config["mounts"].append({**entry, "options": ["bind"]})

    jar.start(*STAYING, change=lent)
    jar.checkpoint()
    jar.restore()
    assert jar.shell("cat /etc/real/there/name") == "lent"


def test_limits_and_cgroup_files(jar: Jar) -> None:
    def limited(config: Json) -> None:
        with_memory(config)
        config["linux"]["resources"] |= {"pids": {"limit": 55}}
        entry = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}
        config["mounts"] += [
            {"destination": "/sys", "type": "sysfs", "source": "sysfs"},
            {**entry, "options": ["nosuid", "noexec", "nodev", "ro"]},
        ]

    jar.start(*STAYING, change=limited)
    read = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max"
    assert jar.shell(read) == "55\n"
    jar.checkpoint()
    jar.restore()
    assert jar.shell(read) == "55\n"
    jar.runtime("pause", jar.name)
    assert jar.runtime.state(jar.name)["status"] == "paused"
    jar.runtime("resume", jar.name)
    jar.runtime("update", "--pids-limit", "66", jar.name)
    assert jar.shell(read) == "66\n"


def test_a_paused_one(our_jar: Jar) -> None:
    jar = our_jar.start("sh", "-c", COUNT)
    jar.wait_for_count(5)
    jar.runtime("pause", jar.name)
    jar.checkpoint()
    jar.restore()
    jar.wait_for_count(10)


def test_a_terminal(jar: Jar, root_dir: Path) -> None:
    def on_terminal(config: Json) -> None:
        with_memory(config)
        config["process"]["terminal"] = True

    script = "while read -r line; do echo got $line; done"
    jar.bundle = jar.runtime.bundle(jar.name, "sh", "-c", script, change=on_terminal)
    with listening(root_dir / "console") as server:
        words = ("--bundle", jar.bundle, "--console-socket", root_dir / "console")
        jar.runtime("run", "--detach", *words, jar.name)
        master = received(server)
    says(master, "one")
    jar.checkpoint()
    os.close(master)
    with listening(root_dir / "again") as server:
        jar.restore("--console-socket", root_dir / "again")
        master = received(server)
    says(master, "two")
    jar.runtime("kill", jar.name, "KILL")
    jar.runtime.wait_until(jar.name, "stopped")
    assert "two" not in drained(master)


def says(master: int, word: str) -> None:
    """Type a word at a terminal and wait for the answer."""
    os.write(master, f"{word}\n".encode())
    said = b""
    while f"got {word}".encode() not in said:
        said += os.read(master, 1024)


def test_pipes(jar: Jar) -> None:
    script = "while read -r line; do echo got $line; done"
    jar.bundle = jar.runtime.bundle(jar.name, "sh", "-c", script, change=with_memory)
    line = ("--bundle", jar.bundle)
    with Pipes() as pipes:
        pipes.used_by(jar.runtime, "run", "--detach", *line, jar.name)
        assert pipes.ask("one") == "got one\n"
        jar.checkpoint()
    with Pipes() as pipes:
        pipes.used_by(jar.runtime, "restore", "--detach", *line, *jar.places, jar.name)
        assert pipes.ask("two") == "got two\n"


class Pipes:
    """What stands at a container's standard input, and at its output and error."""

    def __enter__(self) -> Self:
        self._read_input, self._input = os.pipe()
        self._output, self._write_output = os.pipe()
        return self

    def used_by(self, runtime: OciRuntime, *words: str | Path) -> None:
        streams = {"stdin": self._read_input, "stdout": self._write_output}
        runtime(*words, **streams, stderr=self._write_output)
        for fd in streams.values():
            os.close(fd)

    def ask(self, word: str) -> str:
        os.write(self._input, f"{word}\n".encode())
        return os.read(self._output, 1024).decode()

    def __exit__(self, *_exception: object) -> None:
        os.close(self._input)
        os.close(self._output)


def test_in_the_foreground(jar: Jar) -> None:
    script = "until [ -e /tmp/end ]; do sleep 0.02; done; exit 7"
    jar.start("sh", "-c", script)
    jar.checkpoint()
    (jar.bundle / "rootfs" / "tmp" / "end").touch()
    line = ["restore", "--bundle", str(jar.bundle), *jar.places, jar.name]
    null = subprocess.DEVNULL
    done = jar.runtime.attempt(*line, stdout=null, stderr=null)
    assert done.returncode == 7, jar.log("restore")
    assert not jar.runtime.remains(jar.name)


def test_the_pid_file(jar: Jar, tmp_path: Path) -> None:
    jar.start(*STAYING)
    jar.checkpoint()
    jar.restore("--pid-file", tmp_path / "pid")
    assert int((tmp_path / "pid").read_text()) == jar.runtime.state(jar.name)["pid"]


def test_a_joined_network_namespace(jar: Jar) -> None:
    with subprocess.Popen(["unshare", "--net", "sleep", "100"]) as holder:
        deadline = time.monotonic() + 10 * SLOWER
        mine, path = os.readlink("/proc/self/ns/net"), f"/proc/{holder.pid}/ns/net"
        while os.readlink(path) == mine:
            assert time.monotonic() < deadline

        def join(config: Json) -> None:
            with_memory(config)
            entries = config["linux"]["namespaces"]
            next(one for one in entries if one["type"] == "network")["path"] = path

        jar.start(*STAYING, change=join)
        jar.checkpoint()
        jar.restore()
        pid = jar.runtime.state(jar.name)["pid"]
        assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink(path)
        jar.runtime("delete", "--force", jar.name)
        holder.kill()


def test_hooks(jar: Jar, tmp_path: Path) -> None:
    def note(config: Json) -> None:
        with_memory(config)
        script = f"cat > {tmp_path}/told; readlink /proc/self/ns/net > {tmp_path}/net"
        config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}

    jar.start(*STAYING, change=note)
    jar.checkpoint("--empty-ns", "network")
    (tmp_path / "told").unlink()
    jar.restore("--empty-ns", "network")
    wait_for_file(tmp_path / "told")
    told = json.loads((tmp_path / "told").read_text())
    assert (told["id"], told["pid"]) == (jar.name, jar.runtime.state(jar.name)["pid"])


@requires("criu-connections")
def test_connections(jar: Jar) -> None:
    script = (
        "sleep 100 | busybox nc -l -p 99 > /memory/count & sleep 0.2;"
        "(i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done) | busybox nc 127.0.0.1 99"
    )
    jar.start("sh", "-c", script)
    jar.shell("until [ -s /memory/count ]; do sleep 0.01; done")
    refused = jar.runtime.attempt("checkpoint", *jar.places, jar.name)
    assert refused.returncode == 1
    assert str(jar.work / "dump.log") in refused.stderr
    assert jar.runtime.state(jar.name)["status"] == "running"
    lines = int(jar.shell("busybox wc -l < /memory/count"))
    jar.shell(f"until [ $(busybox wc -l < /memory/count) -gt {lines + 3} ]; do sleep 0.01; done")
    jar.checkpoint("--tcp-established")
    jar.restore("--tcp-established")
    lines = int(jar.shell("busybox wc -l < /memory/count"))
    jar.shell(f"until [ $(busybox wc -l < /memory/count) -gt {lines + 3} ]; do sleep 0.01; done")


@requires("memory-tracking")
def test_a_pre_dump(jar: Jar) -> None:
    """Memory first, while it goes on; then what has changed, and the rest."""
    jar.start("sh", "-c", COUNT)
    jar.wait_for_count(5)
    images = Path(jar.places[1])
    before = ["--image-path", str(images.parent / "before"), *jar.places[2:]]
    jar.runtime("checkpoint", *before, "--pre-dump", jar.name)
    jar.wait_for_count(jar.count() + 5)
    images.mkdir()
    jar.checkpoint("--parent-path", "../before")
    assert (images / "parent").resolve() == images.parent / "before"
    jar.restore()
    jar.wait_for_count(jar.count() + 5)


def test_users_of_its_own(our_jar: Jar) -> None:
    def change(config: Json) -> None:
        mapped(config)
        with_memory(config)
        bundle = our_jar.runtime.root.parent / f"bundle-{our_jar.name}"
        subprocess.run(["chown", "-R", "100000:100000", bundle / "rootfs"], check=True)
        # Whoever is root inside must be able to walk to its root.
        for place in (bundle, bundle.parent):
            place.chmod(0o755)

    jar = our_jar.start("sh", "-c", COUNT, change=change)
    jar.wait_for_count(5)
    jar.checkpoint()
    jar.restore()
    jar.wait_for_count(10)
    pid = jar.runtime.state(jar.name)["pid"]
    assert (processes_of(pid) / "uid_map").read_text().split() == ["0", "100000", "65536"]


def test_a_root_without_the_mount_points(our_jar: Jar) -> None:
    """As where the images were brought to another machine."""

    def lent(config: Json) -> None:
        with_memory(config)
        entry = {"destination": "/given/here", "type": "bind", "source": "/bin/busybox"}
        config["mounts"].append({**entry, "options": ["bind"]})

    jar = our_jar.start(*STAYING, change=lent)
    jar.checkpoint()
    shutil.rmtree(jar.bundle / "rootfs" / "given")
    (jar.bundle / "rootfs" / "memory").rmdir()
    jar.restore()
    assert jar.shell("ls /given /memory").split() == ["/given:", "here", "/memory:"]


def test_one_that_only_waits_to_be_started(jar: Jar) -> None:
    bundle = jar.runtime.bundle(jar.name, "true")
    jar.runtime.create(jar.name, bundle)
    refused = jar.runtime.attempt("checkpoint", *jar.places, jar.name)
    assert refused.returncode == 1
    assert "created" in refused.stderr.lower()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--lazy-pages"], "lazy-pages"),
        (["--manage-cgroups-mode", "some"], "manage-cgroups-mode"),
        (["--empty-ns", "pid"], "empty-ns"),
        (["--parent-path", "/absolute"], "parent-path"),
        (["--page-server", "nowhere"], "page-server"),
    ],
)
def test_what_is_refused(our_jar: Jar, words: list[str], why: str) -> None:
    jar = our_jar.start(*STAYING)
    refused = jar.runtime.attempt("checkpoint", *jar.places, *words, jar.name)
    assert (refused.returncode, why in refused.stderr) == (1, True)
    assert jar.runtime.state(jar.name)["status"] == "running"


def test_no_checkpoint_to_restore(jar: Jar) -> None:
    bundle = jar.runtime.bundle(jar.name, "true")
    done = jar.runtime.attempt("restore", "--bundle", bundle, *jar.places, jar.name)
    assert done.returncode == 1
    assert not jar.runtime.remains(jar.name)


def test_a_broken_checkpoint_leaves_nothing(our_jar: Jar) -> None:
    jar = our_jar.start(*STAYING)
    jar.checkpoint()
    next((jar.work.parent / "images").glob("core-1.img")).write_bytes(b"nothing of criu's")
    line = ["restore", "--detach", "--bundle", str(jar.bundle), *jar.places, jar.name]
    done = jar.runtime.attempt(*line, stdout=subprocess.DEVNULL)
    assert done.returncode == 1
    assert f"its log is {jar.work / 'restore.log'}" in done.stderr
    assert not jar.runtime.remains(jar.name)
