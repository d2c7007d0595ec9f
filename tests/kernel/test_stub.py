"""`enter` on the real kernel: it executes, hides, reports, and serves as an init."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import shutil
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from onggi.linux import channel, namespace, process
from onggi.runtime.stub import stub

PYTHON = os.path.realpath(sys.executable)
DEADLINE_SECONDS = 20


class Entered:
    """A process that went through `enter`; its output and its report can be read."""

    def __init__(self, pid: int, output_fd: int, report_fd: int) -> None:
        self.pid = pid
        self._output_fd = output_fd
        self.report_fd = report_fd

    def report(self) -> bytes:
        """Return what was reported; empty once the program runs."""
        fd, self.report_fd = self.report_fd, -1
        return _read_all(fd)

    def line(self) -> bytes:
        """Return one line of output, which must come in time."""
        collected = b""
        while not collected.endswith(b"\n"):
            assert select.select([self._output_fd], [], [], DEADLINE_SECONDS)[0], collected
            piece = os.read(self._output_fd, 1)
            if not piece:
                break
            collected += piece
        return collected

    def end(self) -> tuple[int, bytes]:
        """Wait; return the exit code (negative for a signal) and the rest of the output."""
        output = _read_all(self._output_fd)
        if self.report_fd >= 0:
            os.close(self.report_fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), output


def _read_all(fd: int) -> bytes:
    with open(fd, "rb") as stream:
        return stream.read()


def enter(
    path: str,
    argv: Sequence[str],
    env: Sequence[bytes] = (b"PATH=/usr/bin:/bin",),
    *,
    mode: bytes = b"",
    filter_fd: int = -1,
    listener_fd: int = -1,
    label: tuple[int, bytes] = (-1, b""),
    before: Callable[[], object] = int,
) -> Entered:
    """Fork, and let the child go through `enter`; `before` runs in the child."""
    output_fd, output_end = os.pipe()
    report_fd, report_end = channel.pair()
    channel.name_senders(report_fd)
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(output_end, 1)
            os.dup2(output_end, 2)
            before()
            words = [os.fsencode(word) for word in argv]
            stub.exec_stub(
                path,
                words,
                env,
                report_fd=report_end,
                filter_fd=filter_fd,
                listener_fd=listener_fd,
                label_fd=label[0],
                label=label[1],
                mode=mode,
            )
        finally:
            os._exit(99)
    os.close(output_end)
    os.close(report_end)
    return Entered(pid, output_fd, report_fd)


def keep_nothing_else() -> None:
    """Have descriptors of this program's stay behind, but for those that `enter` is told of."""
    process.close_range(3, process.LAST_FD, process.CLOSE_RANGE_CLOEXEC)


def python(code: str, **options: object) -> Entered:
    """Run `code` behind `enter`."""
    return enter(PYTHON, ["python3", "-ISc", code], **options)  # type: ignore[arg-type]


# Plain: what the program gets.


def test_program_sees_its_own_arguments_and_environment() -> None:
    argv = ["dog", "/proc/self/cmdline", "/proc/self/environ", "--"]
    entered = enter("/bin/cat", argv, [b"ONGGI_ENTER=mine", b"B=2"])
    expected = b"".join(os.fsencode(word) + b"\0" for word in [*argv, "ONGGI_ENTER=mine", "B=2"])
    assert (entered.report(), *entered.end()) == (b"", 0, expected)


def test_program_inherits_no_descriptor_of_ours() -> None:
    def close_the_rest() -> None:
        process.close_range(3, 2**32 - 1, process.CLOSE_RANGE_CLOEXEC)

    entered = python("import os; print(sorted(os.listdir('/proc/self/fd')))", before=close_the_rest)
    assert entered.report() == b""
    assert entered.end() == (0, b"['0', '1', '2', '3']\n")  # 3 is the listing's own


@pytest.mark.parametrize(
    ("make", "code", "status"),
    [
        (lambda _path: None, errno.ENOENT, 127),
        (lambda path: path.mkdir(), errno.EACCES, 126),
        (lambda path: path.write_bytes(b"#!/bin/sh\n"), errno.EACCES, 126),
        (lambda path: (path.write_bytes(b"junk"), path.chmod(0o755)), errno.ENOEXEC, 126),
        (lambda path: path.symlink_to(path), errno.ELOOP, 126),
        (lambda path: (path.write_bytes(b"#!/no/such\n"), path.chmod(0o755)), errno.ENOENT, 127),
    ],
    ids=["missing", "directory", "not executable", "not a program", "loop", "no interpreter"],
)
def test_failure_reports_errno_and_exits_as_shells_do(
    tmp_path: Path, make: Callable[[Path], object], code: int, status: int
) -> None:
    path = tmp_path / "program"
    make(path)
    entered = enter(str(path), ["program"])
    error = stub.failure(entered.report(), str(path))
    assert (error.errno, error.filename) == (code, str(path))
    assert entered.end() == (status, b"")


# What /proc/self/exe is.


def test_memory_file_cannot_be_changed() -> None:
    fd = stub.sealed()
    try:
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        attempts: list[Callable[[], object]] = [
            lambda: os.pwrite(fd, b"#!", 0),
            lambda: os.ftruncate(fd, 0),
            lambda: os.ftruncate(fd, 1 << 20),
            lambda: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0),
        ]
        for attempt in attempts:
            with pytest.raises(PermissionError):
                attempt()
    finally:
        os.close(fd)


def overwrite(path: str) -> None:
    """Open for writing, which the kernel refuses while it runs, and write, which seals refuse."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, b"#!")
    finally:
        os.close(fd)


def test_running_init_cannot_be_overwritten_through_proc() -> None:
    entered = enter("/bin/sleep", ["sleep", "100"], mode=stub.INIT)
    assert entered.report() == b""
    exe = f"/proc/{entered.pid}/exe"
    assert os.readlink(exe).startswith("/memfd:onggi-enter")
    with pytest.raises(OSError, match=r"Text file busy|Operation not permitted"):
        overwrite(exe)
    os.kill(entered.pid, signal.SIGTERM)
    assert entered.end()[0] == 128 + signal.SIGTERM


@pytest.mark.requires("root")
@pytest.mark.parametrize("command", ["/proc/self/exe", "/script"])
def test_executing_proc_self_exe_never_finds_the_interpreter(tmp_path: Path, command: str) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"#!/proc/self/exe\n")
    script.chmod(0o755)
    (tmp_path / "proc").mkdir()

    def into_root() -> None:
        namespace.unshare(namespace.CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", tmp_path / "proc"], check=True)
        os.chroot(tmp_path)
        os.chdir("/")

    entered = enter(command, [command], before=into_root)
    assert entered.report() == b""
    status, output = entered.end()
    assert (status, output[:19]) == (126, b"usage: ONGGI_ENTER=")


# Filters.

ALLOW_ALL = bytes.fromhex("060000000000ff7f")  # ret ALLOW


@pytest.mark.requires("root")
def test_filter_is_loaded_before_the_program_runs(tmp_path: Path) -> None:
    source = tmp_path / "filter"
    source.write_bytes(ALLOW_ALL)
    fd = os.open(source, os.O_RDONLY)
    code = "print([l.split()[1] for l in open('/proc/self/status') if l.startswith('Seccomp')])"
    entered = python(code, filter_fd=fd)
    os.close(fd)
    assert entered.report() == b""
    assert entered.end() == (0, b"['2', '1']\n")


@pytest.mark.parametrize("length", [0, 7, 12, 8 * 4097])  # of 8 bytes each is an instruction
def test_filter_that_is_not_one_is_refused_before_the_program_runs(
    tmp_path: Path, length: int
) -> None:
    source = tmp_path / "filter"
    source.write_bytes((ALLOW_ALL * 4097)[:length])
    fd = os.open(source, os.O_RDONLY)
    entered = python("print('ran')", filter_fd=fd, before=process.set_no_new_privs)
    os.close(fd)
    error = stub.failure(entered.report(), PYTHON)
    assert (error.errno, error.syscall) == (errno.EINVAL, "seccomp")  # type: ignore[attr-defined]
    assert entered.end() == (126, b"")


# Labels: the kernel's files of that name need a security module; that it is written is seen here.


@pytest.mark.parametrize("mode", [b"", stub.INIT])
def test_a_label_is_written_and_leaves_no_trace(tmp_path: Path, mode: bytes) -> None:
    (tmp_path / "exec").touch()
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    env = [b"PATH=/bin", b"B=2"]
    shown = "[os.path.realpath(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')]"
    argv = ["python3", "-ISc", f"import os; print([*os.environ, *{shown}])"]
    entered = enter(
        PYTHON,
        argv,
        env,
        mode=mode,
        label=(fd, b"exec some profile"),
        before=keep_nothing_else,
    )
    os.close(fd)
    assert entered.report() == b""
    status, output = entered.end()
    assert status == 0
    assert b"'B'" in output
    assert not [word for word in (b"ONGGI", b"profile", os.fsencode(tmp_path)) if word in output]
    assert (tmp_path / "exec").read_bytes() == b"exec some profile"


def test_a_label_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "exec").symlink_to("/dev/null")
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    entered = python("print('ran')", label=(fd, b"exec some"))
    os.close(fd)
    error = stub.failure(entered.report(), PYTHON)
    assert (error.errno, error.syscall) == (errno.ELOOP, "write")  # type: ignore[attr-defined]
    assert entered.end() == (126, b"")


# Init.


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(7)", 7),
        ("raise SystemExit(255)", 255),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os; os.kill(os.getpid(), 15)", 143),
    ],
)
def test_init_ends_as_its_child_ended(code: str, status: int) -> None:
    entered = python(code, mode=stub.INIT)
    assert (entered.report(), *entered.end()) == (b"", status, b"")


def test_init_reports_a_missing_program() -> None:
    entered = enter("/no/such", ["such"], mode=stub.INIT)
    assert stub.failure(entered.report()).errno == errno.ENOENT
    assert entered.end() == (127, b"")


def test_init_reads_well_in_ps() -> None:
    entered = enter("/bin/sleep", ["sleep", "100"], mode=stub.INIT)
    assert entered.report() == b""
    proc = Path(f"/proc/{entered.pid}")
    assert (proc / "cmdline").read_bytes() == b"onggi-init\0--\0sleep\x00100\0"
    assert (proc / "comm").read_bytes() == b"onggi-init\n"
    os.kill(entered.pid, signal.SIGINT)
    assert entered.end()[0] == 128 + signal.SIGINT


SHOW_SIGNALS = """
import os, signal, sys

def heard(number, frame):
    os.write(1, b"%d\\n" % number)  # print, interrupted in itself, may not be called again
    if number == signal.SIGTERM:
        sys.exit()

for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH, signal.SIGTERM):
    signal.signal(number, heard)
print("mask", sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), flush=True)
while True:
    signal.pause()
"""


def test_init_passes_signals_on_and_keeps_none_blocked_for_its_child() -> None:
    entered = python(SHOW_SIGNALS, mode=stub.INIT)
    assert entered.line() == b"mask []\n"
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH, signal.SIGTERM):
        os.kill(entered.pid, number)
        assert entered.line() == b"%d\n" % number
    assert entered.end() == (0, b"")


MAKE_ORPHAN = """
import os, sys, time
reader, writer = os.pipe()
if os.fork() == 0:
    orphan = os.fork()
    if orphan:
        os.write(writer, b"%d" % orphan)
    os._exit(0)
os.wait()
orphan = int(os.read(reader, 20))
deadline = time.monotonic() + 10
while os.path.exists(f"/proc/{orphan}"):
    if time.monotonic() > deadline:
        sys.exit(f"{orphan} was never reaped")
    time.sleep(0.001)
sys.exit(5)
"""


def test_init_reaps_orphans_before_its_child_ends() -> None:
    entered = python(MAKE_ORPHAN, mode=stub.INIT, before=process.set_child_subreaper)
    assert (entered.report(), *entered.end()) == (b"", 5, b"")


def test_init_works_where_its_parent_ignored_dead_children() -> None:
    entered = python(
        "raise SystemExit(3)",
        mode=stub.INIT,
        before=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    assert entered.end() == (3, b"")


SHOW_TERMINAL = """
import os
print(os.tcgetpgrp(0) == os.getpgrp() == os.getpid(), flush=True)
"""


def test_child_of_init_holds_the_foreground_of_the_terminal() -> None:
    master, slave = pty.openpty()

    def on_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        os.dup2(slave, 0)

    entered = python(SHOW_TERMINAL, mode=stub.INIT, before=on_terminal)
    assert entered.line() == b"True\n"
    assert entered.end()[0] == 0
    os.close(slave)
    os.close(master)


@pytest.mark.requires("root")
def test_init_as_process_1_ends_its_whole_namespace(tmp_path: Path) -> None:
    program = tmp_path / "onggi-enter"
    program.write_bytes(stub.program())
    program.chmod(0o755)
    command = ["unshare", "--pid", "--fork", "--", str(program), "--", "sh", "-c"]
    script = "echo $$ $PPID; sleep 1000 & kill -TERM 1; wait"
    began = time.monotonic()
    ended = subprocess.run(
        [*command, script],
        env={"ONGGI_ENTER": ",,,i,/bin/sh", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        timeout=DEADLINE_SECONDS,
    )
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGTERM, b"2 1\n")
    assert time.monotonic() - began < DEADLINE_SECONDS


# As a script calls it, on either machine.


@pytest.fixture(params=["x86_64", "aarch64"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Return a command line that runs `enter` of the machine, by emulation if need be."""
    machine: str = request.param
    program = tmp_path / "onggi-enter"
    program.write_bytes(stub.program(machine))
    program.chmod(stat.S_IRWXU)
    if machine == os.uname().machine:
        return [str(program)]
    emulator = shutil.which(f"qemu-{machine}") or shutil.which(f"qemu-{machine}-static")
    if emulator is None:
        pytest.skip(f"neither a {machine} nor qemu-{machine}")
    return [emulator, str(program)]


@pytest.mark.parametrize(
    ("orders", "argv", "expected"),
    [
        (",,,,/bin/echo", ["echo", "a b"], (0, b"a b\n")),
        (",,,i,/bin/echo", ["echo", "a b"], (0, b"a b\n")),
        (",,,,/usr/bin/env", ["env"], (0, b"A=1\n")),
        (",,,i,/bin/sh", ["sh", "-c", "exit 7"], (7, b"")),
        (",,,i,/bin/sh", ["sh", "-c", "kill -9 $$"], (137, b"")),
        (",,,,/no/such", ["such"], (127, b"")),
        (",,,i,/no/such", ["such"], (127, b"")),
        (",,,,/", ["root"], (126, b"")),
        ("9,,,,/bin/true", ["true"], (126, b"")),
        (",9,,,/bin/true", ["true"], (126, b"")),
        (",,9,,/bin/true", ["true"], (126, b"")),
    ],
)
def test_script_form(
    command: list[str], orders: str, argv: list[str], expected: tuple[int, bytes]
) -> None:
    env = {"ONGGI_ENTER": orders, "A": "1"}
    ended = subprocess.run(
        [*command, "--", *argv], env=env, capture_output=True, timeout=DEADLINE_SECONDS
    )
    assert (ended.returncode, ended.stdout) == expected


@pytest.mark.parametrize(("env", "argv"), [({}, ["--", "a"]), ({"ONGGI_ENTER": ",,,,/a"}, [])])
def test_wrong_use_is_explained(command: list[str], env: dict[str, str], argv: list[str]) -> None:
    ended = subprocess.run([*command, *argv], env=env, capture_output=True, timeout=20)
    assert ended.returncode == 126
    assert ended.stderr.startswith(b"usage: ONGGI_ENTER=")


# Born elsewhere.


def born(usher: Entered) -> int:
    """Hear that a sibling was born, and let it know; return its PID."""
    message, _, pid = channel.receive_from(usher.report_fd)
    assert message == stub.BIRTH
    channel.send(usher.report_fd, stub.KNOWN)
    return pid


def test_what_is_born_is_a_sibling_that_leads_a_session() -> None:
    code = "import os; print(os.getppid(), os.getsid(0) == os.getpid(), flush=True)"
    usher = python(code, mode=stub.BORN)
    pid = born(usher)
    assert usher.line() == b"%d True\n" % os.getpid()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert usher.end() == (0, b"")


def test_it_is_born_in_another_pid_namespace_where_only_the_program_ever_is() -> None:
    def before() -> None:
        namespace.unshare(namespace.CLONE_NEWPID)

    usher = python("import os; print(os.getpid(), flush=True)", mode=stub.BORN, before=before)
    pid = born(usher)
    assert usher.line() == b"1\n"
    os.waitpid(pid, 0)
    assert usher.end() == (0, b"")


def test_what_is_born_on_a_terminal_has_it() -> None:
    master, slave = pty.openpty()

    def before() -> None:
        os.dup2(slave, 0)

    code = "import os; print(os.ttyname(0), os.tcgetpgrp(0) == os.getpid(), flush=True)"
    usher = python(code, mode=stub.BORN_ON_TERMINAL, before=before)
    pid = born(usher)
    assert usher.line() == f"{os.ttyname(slave)} True\n".encode()
    os.waitpid(pid, 0)
    assert usher.end()[0] == 0
    os.close(master)
    os.close(slave)


def test_without_a_terminal_it_is_told_that_there_is_none() -> None:
    def before() -> None:
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)

    usher = python("", mode=stub.BORN_ON_TERMINAL, before=before)
    refused_by_ioctl = bytes([errno.ENOTTY, 0, 6, 0])
    assert getattr(stub.failure(refused_by_ioctl), "syscall", "") == "ioctl"
    assert codes(usher, refused_by_ioctl) == (0, 126)


def codes(usher: Entered, refusal: bytes) -> tuple[int, int]:
    """Return how the usher and the program ended, once what was born has reported this."""
    pid = born(usher)
    assert usher.report() == refusal
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return usher.end()[0], code


def test_a_program_that_is_missing_is_reported_after_the_birth(tmp_path: Path) -> None:
    usher = enter(str(tmp_path / "missing"), ["missing"], mode=stub.BORN)
    assert codes(usher, bytes([errno.ENOENT, 0, 0, 0])) == (0, 127)


def test_what_is_born_does_nothing_before_its_parent_knows_of_it(tmp_path: Path) -> None:
    """Nobody answers: were it to go on, it would run with a PID that nobody was told."""
    usher = enter("/bin/touch", ["touch", str(tmp_path / "ran")], mode=stub.BORN)
    message, _, pid = channel.receive_from(usher.report_fd)
    assert message == stub.BIRTH
    os.close(usher.report_fd)
    usher.report_fd = -1
    assert usher.end()[0] == 0
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 126
    assert not (tmp_path / "ran").exists()


def test_what_is_born_waits_at_a_socket_to_be_started(tmp_path: Path) -> None:
    path = str(tmp_path / "start")
    listener_fd = channel.listen(path)
    code = "import os; print(*sorted(os.listdir('/proc/self/fd')))"
    usher = python(code, mode=stub.BORN, listener_fd=listener_fd, before=keep_nothing_else)
    pid = born(usher)
    assert usher.report() == b""
    for word in (b"no", b"gone", b"g"):
        fd = channel.connect(path)
        channel.send(fd, word)
        assert channel.receive(fd)[0] == b""  # it hangs up
        os.close(fd)
    os.close(channel.connect(path))
    fd = channel.connect(path)
    channel.send(fd, b"go")
    assert channel.receive(fd)[0] == b"ready"
    assert channel.receive(fd)[0] == b""
    for one in (fd, listener_fd):
        os.close(one)
    assert usher.end() == (0, b"0 1 2 3\n"), "neither socket is the program's; 3 is the listing's"
    assert os.waitpid(pid, 0)[1] == 0
