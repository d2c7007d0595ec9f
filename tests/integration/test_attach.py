"""Attaching to containers that run: several at once, late, and leaving again."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from onggi.engine.options import Streams
from onggi.errors import Conflict
from support.box import Box, until
from support.ptys import Terminal
from support.requirements import requires

pytestmark = [
    requires("root", "overlayfs", "cgroup-memory", "cgroup-cpu", "cgroup-pids", "busybox"),
    pytest.mark.time_limit(60),
]

ECHO = ("sh", "-c", "while read line; do echo got $line; done; echo over; exit 3")


class Attached:
    """`onggi attach`, which has arrived once its first line came back."""

    def __init__(self, box: Box, *words: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            box.line("attach", *words), stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
        )

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    def heard(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def monitor_of(box: Box, name: str) -> int:
    stat = Path(f"/proc/{box.pid(name)}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def test_input_stays_open_for_whoever_comes_later(box: Box) -> None:
    box.up("-i", "--name", "open", command=ECHO)
    for word in ("one", "two"):
        attached = Attached(box, "open")
        attached.say(word)
        assert attached.heard() == f"got {word}\n"
        attached.kill()
    assert box.see("open", ".State.Running") == "true"
    assert box("logs", "open").stdout == "got one\ngot two\n"


def test_all_who_are_attached_hear_it(box: Box) -> None:
    box.up("-i", "--name", "open", command=ECHO)
    one, other = Attached(box, "open"), Attached(box, "open")
    one.say("first")
    assert one.heard() == "got first\n"
    other.say("second")
    assert other.heard() in ("got first\n", "got second\n")
    assert one.heard() == "got second\n"
    one.kill()
    other.kill()


def test_the_exit_code_is_the_programs(box: Box) -> None:
    box.up("--name", "ends", command=("sh", "-c", "until [ -e /go ]; do sleep 0.02; done; exit 9"))
    attached = Attached(box, "--no-stdin", "ends")
    until(lambda: os.path.exists(f"/proc/{attached.process.pid}/fd"))
    box("exec", "ends", "touch", "/go")
    assert attached.process.wait(10) in (9, 1)  # 1: it had ended before we were attached
    attached.kill()


def test_input_that_was_attached_from_the_start_ends_with_whoever_is_attached(box: Box) -> None:
    box("create", "-i", "--name", "once", "busybox", *ECHO)
    box("start", "once")
    attached = Attached(box, "once")
    attached.say("one")
    assert attached.heard() == "got one\n"
    assert attached.end() == 3
    assert attached.heard() == "over\n"
    attached.kill()


def test_signals_are_passed_on_unless_unwanted(box: Box) -> None:
    script = "trap 'echo heard; exit 5' TERM; while :; do echo on; sleep 0.05; done"
    box.up("--name", "traps", command=("sh", "-c", script))
    deaf = Attached(box, "--sig-proxy=false", "traps")
    assert deaf.heard() == "on\n"
    deaf.process.send_signal(signal.SIGTERM)
    assert deaf.process.wait(10) == -signal.SIGTERM
    assert box.see("traps", ".State.Running") == "true"
    passing = Attached(box, "traps")
    assert passing.heard() == "on\n"
    passing.process.send_signal(signal.SIGTERM)
    assert passing.process.wait(10) == 5
    deaf.kill()
    passing.kill()


@pytest.mark.parametrize(
    ("keys", "options"), [("\x10\x11", []), ("\x01d", ["--detach-keys", "ctrl-a,d"])]
)
def test_a_terminal_is_left_by_its_keys(box: Box, keys: str, options: list[str]) -> None:
    with Terminal(box.line("run", "-it", "--name", "left", *options, "busybox", "sh")) as terminal:
        terminal.enter("echo A$((1+1))\r")
        terminal.expect("A2")
        terminal.enter(keys)
        terminal.expect("read escape sequence")
        assert terminal.wait() == 0
        assert terminal.is_restored()
    assert box.see("left", ".State.Running") == "true"
    with Terminal(box.line("attach", *options, "left"), rows=33, columns=77) as terminal:
        terminal.enter("stty size\r")
        terminal.expect("33 77")
        terminal.enter("exit 4\r")
        assert terminal.wait() == 4


def test_a_monitor_that_follows_a_killed_one_has_a_door_too(box: Box) -> None:
    box.up("--name", "looked-after", command=("sh", "-c", "while :; do echo on; sleep 0.05; done"))
    before = Attached(box, "looked-after")
    assert before.heard() == "on\n"
    os.kill(monitor_of(box, "looked-after"), signal.SIGKILL)
    assert before.process.wait(10) == 1
    after = Attached(box, "looked-after")
    assert after.heard() == "on\n"
    box("kill", "looked-after")
    assert after.process.wait(10) == 137
    before.kill()
    after.kill()


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("ended", "cannot attach to a stopped container (start it first)"),
        ("paused", "cannot attach to a paused container (unpause it first)"),
    ],
)
def test_only_what_runs_can_be_attached_to(box: Box, state: str, text: str) -> None:
    box.up("--name", "it")
    box(*(("kill", "it") if state == "ended" else ("pause", "it")))
    if state == "ended":
        box("wait", "it")
    done = box.attempt("attach", "it")
    assert (done.returncode, done.stderr) == (1, f"onggi: {text}\n")


def test_the_same_from_python(box: Box) -> None:
    box.up("-i", "--name", "open", command=ECHO)
    (said, saying), (hearing, heard) = os.pipe(), os.pipe()
    with box.engine() as engine:
        container = engine.containers.get("open")
        session = container.attach(Streams(stdin_fd=said, stdout_fd=heard))
        os.write(saying, b"hello\n")
        os.close(saying)
        waiting = threading.Thread(target=session.wait)
        waiting.start()
        assert os.read(hearing, 100) == b"got hello\n"
        container.kill()
        waiting.join(10)
        assert not waiting.is_alive()
        with pytest.raises(Conflict, match="stopped"):
            container.attach()
    for fd in (said, hearing, heard):
        os.close(fd)
