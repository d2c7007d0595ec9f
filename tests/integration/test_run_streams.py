"""Standard streams, terminals and signals of a container in the foreground."""

import hashlib
import os
import shlex
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from onggi.engine.options import ExecOptions, Streams
from support.box import Box, until
from support.patience import SLOWER
from support.ptys import Terminal
from support.requirements import requires

pytestmark = requires("root", "overlayfs", "busybox")

MIB = 1 << 20


def pipe_through(line: list[str], data: bytes) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(line, input=data, capture_output=True, timeout=60, check=False)


class TestPipes:
    def test_megabytes_pass_both_ways(self, box: Box) -> None:
        data = os.urandom(8 * MIB)
        done = pipe_through(box.line("run", "--rm", "-i", "busybox", "cat"), data)
        assert done.returncode == 0, done.stderr
        assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()

    def test_megabytes_pass_through_exec(self, box: Box) -> None:
        container = box.up()
        data = os.urandom(8 * MIB)
        done = pipe_through(box.line("exec", "-i", container, "cat"), data)
        assert done.returncode == 0, done.stderr
        assert done.stdout == data

    @pytest.mark.time_limit(40)
    @pytest.mark.parametrize("command", ["run", "exec"])
    def test_caller_that_listens_only_after_it_has_spoken(self, box: Box, command: str) -> None:
        # The program does both at once; each way holds far more than all the buffers between.
        script = (
            "exec 3<&0; wc -c <&3 >/tmp/heard & head -c 8388608 /dev/zero; wait; cat /tmp/heard"
        )
        words = ["--rm", "-i", "busybox"] if command == "run" else ["-i", box.up()]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            box.line(command, *words, "sh", "-c", script), stdin=pipe, stdout=pipe
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"x" * 8 * MIB)
            process.stdin.close()
            assert process.stdout.read() == b"\0" * 8 * MIB + b"8388608\n"

    @pytest.mark.time_limit(40)
    @pytest.mark.parametrize("direct", [True, False])
    @pytest.mark.parametrize("tty", [True, False])
    def test_library_caller_that_listens_only_after_it_has_spoken(
        self, box: Box, direct: bool, tty: bool
    ) -> None:
        script = (
            "test -t 0 && stty raw -echo; exec 3<&0; head -c 4194304 <&3 | wc -c >/tmp/heard & "
            "head -c 4194304 /dev/zero; wait; cat /tmp/heard"
        )
        container = box.up()
        said, heard = os.pipe(), os.pipe()
        with box.engine(direct=direct) as engine:
            options = ExecOptions(command=["sh", "-c", script], tty=tty, interactive=True)
            streams = Streams(stdin_fd=said[0], stdout_fd=heard[1], terminal=tty)
            session = engine.containers.get(container).exec(options, streams)
            received = bytearray()

            def talk_then_listen() -> None:
                with open(said[1], "wb") as file:
                    time.sleep(0.3 * SLOWER if tty else 0)  # until the terminal is raw
                    file.write(b"x" * 4 * MIB)
                with open(heard[0], "rb") as file:
                    received.extend(file.read())

            caller = threading.Thread(target=talk_then_listen)
            caller.start()
            assert session.wait().code == 0
            os.close(heard[1])
            os.close(said[0])
            caller.join(timeout=10 * SLOWER)
        assert bytes(received) == b"\0" * 4 * MIB + b"4194304\n"

    @pytest.mark.parametrize("command", ["run", "exec"])
    @pytest.mark.parametrize("given", ["</dev/null", "<&-", "<FILE"])
    def test_input_of_every_kind(self, box: Box, tmp_path: Path, command: str, given: str) -> None:
        (tmp_path / "file").write_bytes(b"12345")
        words = ["--rm", "-i", "busybox"] if command == "run" else ["-i", box.up()]
        line = shlex.join(box.line(command, *words, "sh", "-c", "wc -c; exit 7"))
        script = f"{line} {given.replace('FILE', str(tmp_path / 'file'))}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
        shown = "5\n" if "FILE" in given else "0\n"
        assert (done.returncode, done.stdout, done.stderr) == (7, shown, "")

    @pytest.mark.parametrize("command", ["run", "exec"])
    def test_end_does_not_wait_for_input(self, box: Box, command: str) -> None:
        words = ["--rm", "-i", "busybox"] if command == "run" else ["-i", box.up()]
        reader, writer = os.pipe()
        line = box.line(command, *words, "sh", "-c", "exit 7")
        assert subprocess.run(line, stdin=reader, timeout=20, check=False).returncode == 7
        os.close(reader)
        os.close(writer)

    def test_end_does_not_wait_for_a_reader(self, box: Box) -> None:
        """What a program left in the buffers stays there; its container is over all the same."""
        line = box.line(
            "run", "--name", "pot", "busybox", "head", "-c", str(400 << 10), "/dev/zero"
        )
        with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            until(lambda: box.attempt("inspect", "pot").returncode == 0)
            assert box("wait", "pot", timeout=20).stdout == "0\n"
            assert len(process.stdout.read()) == 400 << 10
            assert process.wait(20) == 0

    def test_streams_stay_apart_and_whole(self, box: Box) -> None:
        script = "seq 20000; seq 20001 40000 >&2"
        done = box("run", "--rm", "busybox", "sh", "-c", script)
        assert [int(line) for line in done.stdout.split()] == list(range(1, 20001))
        assert [int(line) for line in done.stderr.split()] == list(range(20001, 40001))

    def test_last_words_arrive(self, box: Box) -> None:
        for _ in range(5):
            done = box("run", "--rm", "busybox", "sh", "-c", "printf end; printf error >&2")
            assert (done.stdout, done.stderr) == ("end", "error")

    def test_program_that_says_more_than_it_hears(self, box: Box) -> None:
        data = b"x" * 100 + b"\n"
        line = box.line("run", "--rm", "-i", "busybox", "sed", "s/x/0123456789abcdef/g")
        done = pipe_through(line, data * 20000)
        assert len(done.stdout) == (16 * 100 + 1) * 20000

    def test_input_ends_for_the_program(self, box: Box) -> None:
        assert box("run", "--rm", "-i", "busybox", "wc", "-c", input="12345").stdout == "5\n"
        assert box("run", "--rm", "-i", "busybox", "wc", "-c", input="").stdout == "0\n"

    def test_without_interactive_there_is_no_input(self, box: Box) -> None:
        assert box("run", "--rm", "busybox", "wc", "-c", input="12345").stdout == "0\n"

    def test_program_that_does_not_read_its_input(self, box: Box) -> None:
        done = pipe_through(box.line("run", "--rm", "-i", "busybox", "true"), b"x" * 4 * MIB)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_program_that_closes_its_input_goes_on(self, box: Box) -> None:
        script = "exec <&-; sleep 0.2; echo still here"
        container = box.up()
        for words in (box.line("run", "--rm", "-i", "busybox"), box.line("exec", "-i", container)):
            done = pipe_through([*words, "sh", "-c", script], b"x" * MIB)
            assert (done.returncode, done.stdout) == (0, b"still here\n")

    def test_slow_reader_loses_nothing_and_makes_the_program_wait(self, box: Box) -> None:
        size = 16 * MIB
        script = f"dd if=/dev/zero bs=64k count={size >> 16} 2>/dev/null; echo >/tmp/done; sleep 60"
        line = box.line("run", "--name", "slow", "busybox", "sh", "-c", script)
        with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            until(lambda: box("ps", "-q").stdout)
            time.sleep(0.5)
            # Pipes, sockets and the monitor hold far less than that.
            assert box.attempt("exec", "slow", "test", "-e", "/tmp/done").returncode == 1
            assert _memory_of_the_monitor(box, "slow") < 40 * MIB
            left = size
            while left:
                left -= len(process.stdout.read(min(left, 65536)))
            until(lambda: box.attempt("exec", "slow", "test", "-e", "/tmp/done").returncode == 0)
            box("kill", "slow")

    @pytest.mark.parametrize("command", ["run", "exec"])
    def test_reader_that_leaves_ends_the_command_not_the_terminal(
        self, box: Box, command: str
    ) -> None:
        words = ["--rm", "busybox"] if command == "run" else [box.up()]
        line = " ".join(box.line(command, *words, "yes"))
        done = subprocess.run(
            ["bash", "-c", f"{line} | head -n 2; echo ${{PIPESTATUS[0]}}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.splitlines()[:2] == ["y", "y"]
        assert "Traceback" not in done.stderr
        assert "bug" not in done.stderr
        assert int(done.stdout.splitlines()[2]) in (128 + 13, -13 & 0xFF)

    def test_closed_standard_output(self, box: Box) -> None:
        line = " ".join(box.line("run", "--rm", "busybox", "echo", "hello"))
        done = subprocess.run(
            ["bash", "-c", f"{line} >&-"], capture_output=True, text=True, timeout=60, check=False
        )
        assert "Traceback" not in done.stderr
        assert "bug" not in done.stderr
        until(lambda: box("ps", "-aq").stdout == "")

    def test_full_disk_is_told(self, box: Box) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                box.line("run", "--rm", "busybox", "echo", "hello"),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
        assert done.returncode != 0
        assert "no space left" in done.stderr.lower()
        assert "bug" not in done.stderr

    def test_descendant_that_holds_the_output_does_not_hold_up_the_end(self, box: Box) -> None:
        begun = time.monotonic()
        done = box("run", "--rm", "busybox", "sh", "-c", "sleep 600 & echo over")
        assert done.stdout == "over\n"
        assert time.monotonic() - begun < 10

    def test_descriptors_of_the_caller_stay_with_it(self, box: Box, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        fd = os.open(tmp_path / "secret", os.O_RDONLY)
        os.set_inheritable(fd, True)
        line = box.line("run", "--rm", "busybox", "ls", "-l", "/proc/self/fd")
        done = subprocess.run(line, pass_fds=(fd,), capture_output=True, text=True, timeout=60)
        os.close(fd)
        assert done.returncode == 0
        assert "secret" not in done.stdout


def _memory_of_the_monitor(box: Box, container: str) -> int:
    pid = int(Path(f"/proc/{box.pid(container)}/stat").read_text().rpartition(")")[2].split()[1])
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class TestTerminal:
    def test_is_a_terminal_of_the_container(self, box: Box) -> None:
        with Terminal(box.line("run", "--rm", "-it", "busybox", "sh")) as terminal:
            terminal.enter("tty; test -c /dev/console && echo con''sole; echo $TERM\n")
            terminal.expect("/dev/pts/0")
            terminal.expect("console")
            terminal.expect("xterm")
            terminal.enter("exit 5\n")
            assert terminal.wait() == 5
            assert terminal.is_restored()

    def test_without_input(self, box: Box) -> None:
        line = box.line("run", "--rm", "-t", "busybox", "sh", "-c", "tty; test -t 0 && echo both")
        assert pipe_through(line, b"").stdout == b"/dev/pts/0\r\nboth\r\n"

    def test_needs_one_when_input_is_passed(self, box: Box) -> None:
        done = box.attempt("run", "--rm", "-it", "busybox", "true", input="")
        assert done.returncode == 1
        assert "the input device is not a TTY" in done.stderr
        assert box("ps", "-aq").stdout == ""

    def test_has_our_size_and_follows_it(self, box: Box) -> None:
        script = "trap 'stty size' WINCH; stty size; echo ready; while :; do sleep 0.05; done"
        line = box.line("run", "--rm", "-it", "busybox", "sh", "-c", script)
        with Terminal(line, rows=33, columns=101) as terminal:
            terminal.expect("ready")
            terminal.resize(44, 120)
            terminal.expect("44 120")
            terminal.enter("\x03")
            assert terminal.wait() == 130

    @pytest.mark.parametrize("command", ["run", "exec"])
    def test_begins_with_our_size(self, box: Box, command: str) -> None:
        words = ["--rm", "-it", "busybox"] if command == "run" else ["-it", box.up()]
        for _ in range(3):
            with Terminal(
                box.line(command, *words, "stty", "size"), rows=33, columns=101
            ) as terminal:
                terminal.expect("33 101")
                assert terminal.wait() == 0

    def test_keys_are_the_program_s(self, box: Box) -> None:
        script = "trap 'echo caught' INT; echo ready; while read -r l; do echo got $l; done"
        with Terminal(box.line("run", "--rm", "-it", "busybox", "sh", "-c", script)) as terminal:
            terminal.expect("ready")
            terminal.enter("a line\n")
            terminal.expect("got a line")
            terminal.enter("\x03")
            terminal.expect("caught")
            terminal.enter("\x04")
            terminal.wait()
            assert terminal.is_restored()

    def test_long_output_is_whole(self, box: Box) -> None:
        with Terminal(box.line("run", "--rm", "-it", "busybox", "seq", "30000")) as terminal:
            assert terminal.wait() == 0
            numbers = terminal.shown.replace(b"\r", b"").split()
            assert numbers == [b"%d" % number for number in range(1, 30001)]

    @pytest.mark.time_limit(40)
    @pytest.mark.parametrize("command", ["run", "exec"])
    def test_person_who_pastes_much_before_reading(self, box: Box, command: str) -> None:
        size = MIB
        script = (
            f"stty raw -echo; exec 3<&0; head -c {size} <&3 | wc -c >/tmp/heard & echo ready; "
            f"head -c {size} /dev/zero; wait; cat /tmp/heard"
        )
        words = ["--rm", "-it", "busybox"] if command == "run" else ["-it", box.up()]
        with Terminal(box.line(command, *words, "sh", "-c", script)) as terminal:
            terminal.expect("ready")
            terminal.enter("x" * size)
            assert terminal.wait() == 0
            assert terminal.shown.count(b"\0") == size
            assert terminal.shown.split(b"\0")[-1].strip() == str(size).encode()

    def test_with_init_the_program_is_in_the_foreground(self, box: Box) -> None:
        with Terminal(box.line("run", "--rm", "-it", "--init", "busybox", "sh")) as terminal:
            terminal.enter("read x; echo read $x; sleep 60\nhello\n")
            terminal.expect("read hello")
            time.sleep(0.2 * SLOWER)
            terminal.enter("\x03")
            terminal.enter("exit 4\n")
            assert terminal.wait() == 4

    def test_is_restored_after_a_failed_start(self, box: Box) -> None:
        with Terminal(box.line("run", "--rm", "-it", "busybox", "nosuch")) as terminal:
            assert terminal.wait() == 127
            assert terminal.is_restored()

    def test_exec_has_one_too(self, box: Box) -> None:
        container = box.up()
        line = box.line("exec", "-it", container, "sh")
        with Terminal(line, rows=33, columns=101) as terminal:
            terminal.enter("tty; stty size\n")
            terminal.expect("/dev/pts/")
            terminal.expect("33 101")
            terminal.resize(20, 40)
            terminal.enter("stty size\n")
            terminal.expect("20 40")
            terminal.enter("exit 6\n")
            assert terminal.wait() == 6
            assert terminal.is_restored()

    @pytest.mark.parametrize("command", ["run", "exec"])
    def test_keys_stop_a_job_and_bring_it_back(self, box: Box, command: str) -> None:
        words = ["--rm", "-it", "busybox"] if command == "run" else ["-it", box.up()]
        with Terminal(box.line(command, *words, "sh", "-i")) as terminal:
            terminal.enter("sleep 5417\n")
            terminal.expect("sleep 5417")
            until(lambda: _is_in_the_foreground("sleep", "5417"))
            terminal.enter("\x1a")
            terminal.expect("Stopped")
            terminal.enter("jobs -l; fg\n")
            terminal.expect("Stopped")
            until(lambda: _is_in_the_foreground("sleep", "5417"))
            terminal.enter("\x03")
            terminal.enter("exit $((40 + 2))\n")
            assert terminal.wait() == 42
            assert terminal.is_restored()

    @pytest.mark.parametrize("command", ["run", "exec"])
    def test_that_hangs_up_ends_the_program(self, box: Box, command: str) -> None:
        name = box.up()
        words = (
            ["--rm", "--name", "hung-up", "-it", "busybox"] if command == "run" else ["-it", name]
        )
        script = "trap 'touch /v/hung-up; exit' HUP; echo ready; while :; do sleep 0.05; done"
        if command == "exec":
            script = script.replace("/v/", "/tmp/")
            with Terminal(box.line(command, *words, "sh", "-c", script)) as terminal:
                terminal.expect("ready")
                terminal.hang_up()
                until(
                    lambda: box.attempt("exec", name, "test", "-e", "/tmp/hung-up").returncode == 0
                )
                terminal.wait()
            assert "sleep 0.05" not in box.inside(name, "ps")
            return
        with Terminal(box.line(command, "-v", "told:/v", *words, "sh", "-c", script)) as terminal:
            terminal.expect("ready")
            terminal.hang_up()
            terminal.wait()
        until(lambda: box("ps", "-a", "--filter", "name=hung-up", "-q").stdout == "")
        assert box.sh("ls /v", "-v", "told:/v") == "hung-up"

    @pytest.mark.parametrize("command", ["run", "exec"])
    def test_command_that_was_stopped_goes_on(self, box: Box, command: str) -> None:
        words = ["--rm", "-it", "busybox"] if command == "run" else ["-it", box.up()]
        with Terminal(box.line(command, *words, "sh", "-c", "echo ready; cat")) as terminal:
            terminal.expect("ready\r\n")
            os.kill(terminal.pid, signal.SIGSTOP)
            terminal.enter("after\n")
            os.kill(terminal.pid, signal.SIGCONT)
            terminal.expect("after\r\nafter\r\n")
            terminal.enter("\x04")
            assert terminal.wait() == 0
            assert terminal.is_restored()

    @pytest.mark.parametrize("command", ["run", "exec"])
    def test_size_that_changed_while_the_command_was_stopped(self, box: Box, command: str) -> None:
        words = ["--rm", "-it", "busybox"] if command == "run" else ["-it", box.up()]
        wait = "while [ \"$(stty size 2>&1)\" != '{}' ]; do sleep 0.05; done; echo {};"
        script = wait.format("20 80", "begun") + wait.format("44 120", "seen")
        with Terminal(box.line(command, *words, "sh", "-c", script), rows=20) as terminal:
            terminal.expect("begun")
            os.kill(terminal.pid, signal.SIGSTOP)
            terminal.resize(44, 120)
            os.kill(terminal.pid, signal.SIGCONT)
            terminal.expect("seen")
            assert terminal.wait() == 0

    def test_size_reaches_a_program_that_does_not_read(self, box: Box) -> None:
        script = (
            "stty raw -echo; echo ready; while [ ! -e /tmp/go ]; do sleep 0.05; done; stty size"
        )
        with Terminal(
            box.line("run", "--name", "pot", "-it", "busybox", "sh", "-c", script)
        ) as terminal:
            terminal.expect("ready")
            terminal.enter("x" * 50_000)  # more than its terminal holds
            terminal.resize(44, 120)
            until(lambda: box.inside("pot", "stty size </proc/1/fd/0") == "44 120")
            box.inside("pot", "touch /tmp/go")
            terminal.expect("44 120")
            assert terminal.wait() == 0
            box("rm", "pot")


def _is_in_the_foreground(*words: str) -> bool:
    """Tell whether a process with this command line is in its terminal's foreground, and runs."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        path = Path("/proc", name, "cmdline")
        try:
            if path.read_bytes() == "\0".join([*words, ""]).encode():
                fields = (path.parent / "stat").read_text().rpartition(")")[2].split()
                return fields[0] == "S" and fields[2] == fields[5]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


class TestSignals:
    TRAPS = (
        "for s in HUP INT QUIT USR1 USR2 TERM; do trap \"echo $s\" $s; done; trap 'exit 3' CONT;"
        "echo ready; while :; do sleep 0.02; done"
    )

    def test_reach_the_program_in_order(self, box: Box) -> None:
        process = box.start("run", "--rm", "busybox", "sh", "-c", self.TRAPS)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "TERM"):
            process.send_signal(getattr(signal, f"SIG{name}"))
            assert process.stdout.readline() == f"{name}\n"
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=20)
        assert process.returncode == 3

    def test_reach_the_program_of_an_exec(self, box: Box) -> None:
        container = box.up()
        process = box.start("exec", container, "sh", "-c", self.TRAPS)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "TERM\n"
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=20)
        assert process.returncode == 3

    def test_default_action_ends_it(self, box: Box) -> None:
        process = box.start("run", "--rm", "--init", "busybox", "sh", "-c", "echo ready; sleep 60")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 143

    def test_stay_with_us_without_the_proxy(self, box: Box) -> None:
        script = "trap 'echo caught' TERM; echo ready; while :; do sleep 0.02; done"
        options = ("--sig-proxy=false", "--name", "pot")
        process = box.start("run", *options, "busybox", "sh", "-c", script)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[0] == ""
        assert box.see("pot", ".State.Running") == "true"

    def test_program_has_the_default_actions(self, box: Box) -> None:
        container = box.up()
        look = ("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
        for words in (box.line("run", "--rm", "busybox"), box.line("exec", container)):
            # As in a script's background, and below nohup.
            script = f"trap '' INT QUIT HUP USR1; {shlex.join([*words, *look])}"
            shown = subprocess.check_output(["bash", "-c", script], text=True, timeout=60)
            # 32 and 33 are the C library's own, which lets nobody change them.
            own = 1 << 31 | 1 << 32
            assert [int(line.split()[1], 16) & ~own for line in shown.splitlines()] == [0, 0]

    def test_command_killed_outright_leaves_the_container(self, box: Box) -> None:
        process = box.start("run", "--name", "pot", "busybox", "sh", "-c", "echo ready; sleep 600")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.communicate(timeout=20)
        assert box.see("pot", ".State.Running") == "true"


@pytest.mark.parametrize("command", ["run", "exec"])
def test_nobody_is_left_a_zombie(box: Box, command: str) -> None:
    container = box.up()
    words = ["--rm", "busybox"] if command == "run" else [container]
    process = box.start(command, *words, "sh", "-c", "sleep 0.1 & sleep 0.2")
    process.communicate(timeout=20)
    assert box.attempt("exec", container, "sh", "-c", "true").returncode == 0
    monitor = Path(f"/proc/{box.pid(container)}/stat").read_text().rpartition(")")[2].split()[1]
    children = Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()
    assert children == [str(box.pid(container))]
