"""Commands of the host's that somebody inside, or who is to listen, would keep waiting for ever."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from support.box import until
from support.oci_runtimes import Json, OciRuntime
from support.programs import compiled
from support.requirements import requires
from support.threats import BUNDLE, withstands

pytestmark = requires("root", "busybox", "compiler")

STOPPER = """
#include <signal.h>
#include <time.h>
#include <unistd.h>

int main(void) {
    time_t end = time(0) + PATIENCE;
    while (time(0) < end && access("/enough", F_OK)) kill(-1, SIGSTOP);  /* all but this one */
    pause();
}
"""
ROUNDS = 12
SECONDS = 20  # for what takes one of them, on a machine that has others to serve


@withstands("exhaustion", "a command kept waiting for ever", by=BUNDLE)
@pytest.mark.time_limit(ROUNDS * SECONDS)
def test_what_exec_has_born_is_not_waited_for_where_it_is_stopped(
    ours: OciRuntime, tmp_path: Path
) -> None:
    name = ours.identifier()
    bundle = ours.bundle(name, "/stop")
    shutil.copy(compiled(STOPPER, tmp_path), bundle / "rootfs/stop")
    ours("run", "--detach", "--bundle", bundle, name)
    done = [ours.attempt("exec", "--detach", name, "true", timeout=SECONDS) for _ in range(ROUNDS)]
    stopped = [one for one in done if one.returncode]
    assert stopped, "it was never quick enough"
    assert {one.returncode for one in stopped} == {255}
    assert "the process was stopped by another on its way inside" in stopped[0].stderr
    (bundle / "rootfs/enough").touch()
    pid = ours.state(name)["pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    names = [Path(f"/proc/{one}/cmdline").read_bytes() for one in children]
    assert not [one for one in names if b"onggi" in one], "what was not to be is still there"


@withstands("exhaustion", "a command kept waiting for ever", by=BUNDLE)
def test_a_created_container_that_is_stopped_can_be_started_by_nobody(ours: OciRuntime) -> None:
    name = ours.identifier()
    ours.create(name, ours.bundle(name, "sleep", "1000"))
    pid = ours.state(name)["pid"]
    os.kill(pid, signal.SIGSTOP)
    done = ours.attempt("start", name, timeout=SECONDS)
    assert done.returncode == 1
    assert "the process was stopped by another on its way inside" in done.stderr
    assert ours.state(name)["status"] == "stopped"


@withstands("exhaustion", "a command kept waiting for ever", by=BUNDLE)
def test_who_waits_for_a_container_cannot_keep_it_from_being_deleted(
    ours: OciRuntime, tmp_path: Path
) -> None:
    """Its start waits for a hook, and has the container's lock meanwhile."""

    def change(config: Json) -> None:
        config["hooks"] = {"startContainer": [{"path": "/bin/sleep", "args": ["sleep", "1000"]}]}

    name = ours.identifier()
    ours.create(name, ours.bundle(name, "sleep", "1000", change=change))
    pid = ours.state(name)["pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with (
        (tmp_path / "said").open("wb") as said,
        subprocess.Popen(ours.line("start", name), stderr=said) as starting,
    ):
        until(lambda: children.read_text())
        ours("delete", "--force", name, timeout=SECONDS)
        assert starting.wait(SECONDS) == 1
    assert not (ours.root / name).exists()


@withstands("exhaustion", "a command kept waiting for ever", by=BUNDLE)
@pytest.mark.parametrize("command", ["run", "exec"])
def test_a_listener_that_takes_nothing_is_given_up(
    ours: OciRuntime, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "agent"

    def change(config: Json) -> None:
        config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": str(path),
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
        }

    name = ours.identifier()
    bundle = ours.bundle(name, "sleep", "1000", change=change)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.bind(str(path))
        agent.listen(1)
        if command == "exec":
            ours("run", "--detach", "--bundle", bundle, name)
            agent.accept()[0].close()
        waiting = [_full(path) for _ in range(2)]
        words = ["exec", name, "true"] if command == "exec" else ["run", "--bundle", bundle, name]
        done = ours.attempt(*words, timeout=SECONDS + 10)
        for one in waiting:
            one.close()
    assert done.returncode != 0
    assert f"send the seccomp listener to {path}" in done.stderr


def _full(path: Path) -> socket.socket:
    """Take one of the places before whoever accepts nobody."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.connect(str(path))
    return one
