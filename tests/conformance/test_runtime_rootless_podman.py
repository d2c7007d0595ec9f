"""podman of an ordinary user, with our runtime: it is root of a namespace of its own there."""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.oci_runtimes import lay_out_rootfs
from support.ordinary import FIRST_ID, UID, Ordinary, ordinary_user
from support.ordinary_runtimes import install
from support.requirements import requires

pytestmark = requires("root", "shared-python", "busybox", "podman", "newuidmap")

NO_NETWORK = ("--network", "none")
# What --init is to put before the program: it takes a program of the host's.
INIT = '#!/bin/sh\nshift\n"$@"\nexit $((100 + $?))\n'


class UserPodman:
    """podman as the user, on a store of its own."""

    def __init__(self, user: Ordinary) -> None:
        self.user = user
        self.place = user.home / "podman"
        ours = install(user)
        wrapped = user.home / "bin/runtime"
        wrapped.write_text(f'#!/bin/sh\nexec {ours} --root {user.home}/containers "$@"\n')
        init = user.home / "bin/init"
        init.write_text(INIT)
        for path in (wrapped, init):
            path.chmod(0o755)
        conf = user.home / "containers.conf"
        conf.write_text('[engine]\nlock_type = "file"\nevents_logger = "file"\n')
        user.env |= {"CONTAINERS_CONF": str(conf), "XDG_RUNTIME_DIR": str(user.home)}
        self._line = (
            *("podman", "--root", str(self.place / "root"), "--runroot", str(self.place / "run")),
            *("--storage-driver", "vfs", "--tmpdir", str(self.place / "tmp")),
            *("--cgroup-manager", "cgroupfs", "--runtime", str(wrapped)),
        )

    def attempt(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        return self.user.run(*self._line, *words)

    def __call__(self, *words: str | Path) -> str:
        done = self.attempt(*words)
        assert done.returncode == 0, f"podman {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout

    def run(self, *words: str | Path) -> str:
        return self("run", "--rm", *NO_NETWORK, *words)

    def clean(self) -> None:
        """Remove everything, and end the process that keeps the user's namespace."""
        self("rm", "--all", "--force", "--time", "0")
        self("rmi", "--all", "--force")
        # What belongs to others of the user's IDs, the user alone may not remove.
        self("unshare", "rm", "-rf", self.place / "root", self.user.home / ".local")
        keeper = int((self.place / "tmp/pause.pid").read_text())
        assert os.stat(f"/proc/{keeper}").st_uid == UID
        os.kill(keeper, signal.SIGKILL)


@pytest.fixture(scope="module")
def _store() -> Iterator[UserPodman]:
    with ordinary_user() as user:
        podman = UserPodman(user)
        lay_out_rootfs(user.place / "rootfs")
        archive = user.place / "rootfs.tar"
        subprocess.run(["tar", "-C", user.place / "rootfs", "-cf", archive, "."], check=True)
        podman("import", archive, "box")
        yield podman
        podman.clean()


@pytest.fixture
def podman(_store: UserPodman) -> Iterator[UserPodman]:
    yield _store
    _store("rm", "--all", "--force", "--time", "0")


def test_run(podman: UserPodman) -> None:
    words = podman.run("box", "sh", "-c", "echo hello; id -u; cat /proc/self/uid_map").split()
    assert words == ["hello", "0", "0", str(UID), "1", "1", str(FIRST_ID), "65536"]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["sh", "-c", "exit 9"], 9), (["nothing"], 127), (["/etc"], 126), (["/bin/nothing"], 127)],
)
def test_exit_codes(podman: UserPodman, words: list[str], code: int) -> None:
    done = podman.attempt("run", "--rm", *NO_NETWORK, "box", *words)
    assert done.returncode == code, done.stderr


def test_a_life(podman: UserPodman) -> None:
    name = f"c{uuid.uuid4().hex[:8]}"
    podman("run", "--detach", "--name", name, *NO_NETWORK, "box", "sh", "-c", "echo said; sleep 99")
    assert podman("exec", name, "sh", "-c", "echo inside; id -u").split() == ["inside", "0"]
    assert podman.attempt("exec", name, "sh", "-c", "exit 5").returncode == 5
    assert podman.attempt("exec", name, "nothing").returncode == 127
    assert podman("exec", "--tty", name, "tty").strip() == "/dev/pts/0"
    assert podman("logs", name) == "said\n"
    assert "sleep" in podman("top", name)
    podman("stop", "--time", "0", name)
    assert podman("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "137"
    podman("start", name)
    podman("kill", name)
    podman("rm", "--force", "--time", "0", name)


def test_an_init(podman: UserPodman) -> None:
    init = podman.user.home / "bin/init"
    words = ("run", "--rm", "--init", "--init-path", init, *NO_NETWORK)
    assert podman.attempt(*words, "box", "sh", "-c", "exit 9").returncode == 109


def test_users(podman: UserPodman) -> None:
    assert podman.run("--user", "1000:1001", "box", "id", "-u").strip() == "1000"
    script = "id -u; id -g; cat /proc/self/uid_map"
    words = podman.run("--userns", "keep-id", "box", "sh", "-c", script).split()
    assert words[:2] == [str(UID), str(UID)]
    assert [str(UID), "0", "1"] == words[5:8]  # the second line: the user is the user


def test_mounts(podman: UserPodman) -> None:
    given = podman.user.home / "given"
    podman.user.run("sh", "-c", f"mkdir {given}; echo from outside > {given}/file")
    words = ["--read-only", "--tmpfs", "/scratch", "--volume", f"{given}:/given"]
    script = "cat /given/file; touch /scratch/x && ! touch /y && touch /given/z"
    assert podman.run(*words, "box", "sh", "-c", script) == "from outside\n"
    assert (given / "z").stat().st_uid == UID


@pytest.mark.parametrize("kind", ["pid", "uts", "cgroupns", "network"])
def test_namespaces_of_the_host(podman: UserPodman, kind: str) -> None:
    link = {"cgroupns": "cgroup", "network": "net"}.get(kind, kind)
    words = [] if kind == "network" else [*NO_NETWORK]
    script = f"busybox readlink /proc/self/ns/{link}; ls /sys/fs/cgroup /sys/class > /dev/null"
    done = podman("run", "--rm", *words, f"--{kind}", "host", "box", "sh", "-c", script)
    assert done.strip() == os.readlink(f"/proc/self/ns/{link}")


def test_devices_and_rights(podman: UserPodman) -> None:
    script = "stat -c %t:%T /dev/fuse; busybox grep CapEff /proc/self/status"
    words = podman.run("--device", "/dev/fuse", "--cap-drop", "ALL", "box", "sh", "-c", script)
    assert words.split() == ["a:e5", "CapEff:", "0" * 16]
    assert "/dev/null" in podman.run("--privileged", "box", "ls", "-d", "/dev/null")


def test_parameters(podman: UserPodman) -> None:
    name = "net.ipv4.ip_unprivileged_port_start"
    path = "/proc/sys/" + name.replace(".", "/")
    assert podman.run("--sysctl", f"{name}=80", "box", "cat", path).strip() == "80"


def test_what_takes_privileges_is_told(podman: UserPodman) -> None:
    done = podman.attempt("run", "--rm", *NO_NETWORK, "--oom-score-adj", "-500", "box", "id")
    assert done.returncode == 126
    assert "CAP_SYS_RESOURCE" in done.stderr
