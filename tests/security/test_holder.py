"""The process that keeps an ordinary user's namespace: who may reach it, or be taken for it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.box import until
from support.ordinary import UID, Ordinary, is_holder, ordinary_user
from support.requirements import requires
from support.threats import INSIDE, withstands

pytestmark = requires(
    "root", "busybox", "overlayfs", "user-namespaces", "newuidmap", "shared-python"
)

ANOTHER = UID + 1  # another user of the host
# Says of each way to get hold of a process what became of it: "done", or the errno.
WAYS = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
held = os.pidfd_open(pid)

def tried(name, do):
    try:
        do()
    except OSError as error:
        print(name, error.errno)
    else:
        print(name, "done")

def call(name, *words):
    if getattr(libc, name)(*words) < 0:
        raise OSError(ctypes.get_errno(), "")

for file in ("maps", "mem", "environ", "ns/user"):
    tried(file, lambda: os.close(os.open(f"/proc/{pid}/{file}", os.O_RDONLY)))
for link in ("exe", "cwd", "root", "fd/0"):
    tried(link, lambda: os.readlink(f"/proc/{pid}/{link}"))
tried("descriptor", lambda: call("pidfd_getfd", held, 0, 0))
tried("trace", lambda: call("ptrace", 0x4206, pid, 0, 0))  # PTRACE_SEIZE
tried("join", lambda: call("setns", held, 0x10000000))  # CLONE_NEWUSER
tried("held", lambda: signal.pidfd_send_signal(held, signal.SIGCONT))
tried("signal", lambda: os.kill(pid, signal.SIGKILL))
"""


@pytest.fixture
def user() -> Iterator[Ordinary]:
    with ordinary_user() as user:
        user("images")
        yield user
        user("images")  # whatever became of the holder: it is the one that is ended with the store


def outcomes(said: str) -> dict[str, str]:
    return dict(line.split() for line in said.splitlines())


def kill(user: Ordinary) -> None:
    pid = user.holder()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_holder(pid))


def change(user: Ordinary, **members: Any) -> None:
    """Have the record say something else."""
    file = user.root / "run/holder"
    file.write_text(json.dumps(json.loads(file.read_text()) | members))


@withstands("holder", "signalled, traced, read or joined by another user of the host")
def test_it_is_out_of_the_reach_of_others(user: Ordinary) -> None:
    pid = user.holder()
    as_another = ["setpriv", f"--reuid={ANOTHER}", f"--regid={ANOTHER}", "--clear-groups"]
    words = [*as_another, "/usr/bin/python3", "-c", WAYS, str(pid)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    refused = outcomes(done.stdout)
    assert set(refused.values()) <= {"1", "13"}, refused  # EPERM, EACCES
    assert is_holder(pid)
    allowed = outcomes(user.run("/usr/bin/python3", "-c", WAYS, str(pid)).stdout)
    assert allowed.keys() == refused.keys()
    assert set(allowed.values()) == {"done"}, "these ways are open to nobody"


@withstands("holder", "signalled or seen from inside of a container", by=INSIDE)
@pytest.mark.parametrize("options", [[], ["--privileged"]], ids=["plain", "privileged"])
def test_it_is_not_seen_from_inside(user: Ordinary, options: list[str]) -> None:
    user("bootstrap", "busybox")
    pid = user.holder()
    script = f"cat /proc/[0-9]*/cmdline; for s in CONT TERM KILL; do kill -$s {pid}; done; echo end"
    said = user.sh(f"({script}) 2>&1", *options)
    assert said.endswith("end")
    assert "onggi-holder\0" not in said
    assert said.count("No such process") == 3
    assert is_holder(pid)


@contextmanager
def process(user: Ordinary, *words: str) -> Iterator[int]:
    """Run a program of the user's meanwhile."""
    with subprocess.Popen(user.as_user(*words, "sleep", "1000")) as running:
        slept = Path(f"/proc/{running.pid}/cmdline")
        try:
            until(lambda: slept.read_bytes().startswith(b"sleep"))
            yield running.pid
            assert running.poll() is None, "it was taken for the holder, and ended"
        finally:
            running.kill()


@withstands("holder", "its PID, or its namespace's number, that something else has by now")
def test_its_pid_is_another_s_by_now(user: Ordinary) -> None:
    kill(user)
    with process(user) as pid:
        change(user, pid=pid)
        user("images")
        assert user.holder() != pid
        kill(user)
        change(user, pid=pid)
        user("system", "reset", "--force")


@withstands("holder", "its PID, or its namespace's number, that something else has by now")
def test_the_number_of_its_namespace_is_another_s_by_now(user: Ordinary) -> None:
    """Of a browser's sandbox, say, whose processes may do there what root may."""
    ids = Path(f"/proc/{user.holder()}/uid_map").read_text()
    kill(user)
    with process(user, "unshare", "--user", "--map-root-user") as pid:
        change(user, namespace=os.stat(f"/proc/{pid}/ns/user").st_ino)
        user("images")
        namespaces = [os.readlink(f"/proc/{one}/ns/user") for one in (pid, user.holder())]
        assert namespaces[0] != namespaces[1]
        assert Path(f"/proc/{user.holder()}/uid_map").read_text() == ids


@withstands("holder", "a record of it that others could write")
@pytest.mark.parametrize("how", ["another's", "everybody's"])
def test_a_record_that_others_could_write_is_not_read(user: Ordinary, how: str) -> None:
    pid = user.holder()
    if how == "another's":
        os.chown(user.root, ANOTHER, -1)
    else:
        user.root.chmod(0o777)
    done = user.run("onggi", "images")
    os.chown(user.root, UID, -1)
    user.root.chmod(0o700)
    assert done.returncode == 1
    assert "another user" in done.stderr or "can be written by others" in done.stderr
    assert user.holder() == pid
