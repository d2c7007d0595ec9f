"""What a hostile container tries against those that enter it: at the start, and by exec."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from onggi.errors import Internal
from onggi.linux import channel, device, procfs
from onggi.linux.process import start_time
from onggi.runtime import enter, failure, start
from onggi.runtime.steps import devices, mounts, namespaces, process
from onggi.runtime.steps.base import Context, Step
from onggi.runtime.stub import stub
from support.attackers import TYPES
from support.box import Box
from support.child import run_in_child
from support.looking import RACER, WATCHER
from support.programs import compiled
from support.ptys import Terminal
from support.requirements import requires
from support.swapping import SWAPPER
from support.threats import INSIDE, withstands

pytestmark = requires("root")
in_containers = requires("overlayfs", "busybox", "compiler")


@in_containers
@withstands(
    "own program",
    "opened or written through /proc/PID/exe while `exec` enters",
    "memory, descriptors or directory of what enters looked at through /proc",
    by=INSIDE,
)
@pytest.mark.time_limit(180)
@pytest.mark.parametrize("rights", [(), ("--cap-add", "SYS_PTRACE")], ids=["plain", "may trace"])
def test_what_enters_by_exec_shows_nothing_of_the_host(
    rights: tuple[str, ...], box: Box, tmp_path: Path
) -> None:
    program = compiled(RACER, tmp_path)
    container = box.up("-v", f"{program}:/race:ro", *rights, command=("/race",))
    for _ in range(25):
        box.inside(container, "true")
    box.inside(container, "touch /stop")
    assert box("wait", container).stdout.strip() == "0"
    output = box("logs", container).stdout
    *found, counts = output.strip().splitlines()
    assert not found, output
    assert int(counts.split()[1]) >= 10, "the race was never on"


@in_containers
@withstands(
    "own program",
    "rights of the host's root held by what `exec` makes inside, while it enters",
    by=INSIDE,
)
@pytest.mark.time_limit(180)
def test_what_exec_makes_inside_never_has_more_rights(box: Box, tmp_path: Path) -> None:
    """With CAP_SYS_PTRACE a process inside could trace it, and use what rights it had."""
    program = compiled(WATCHER, tmp_path)
    watcher = ("-v", f"{program}:/watch:ro", "--cap-add", "SYS_PTRACE")
    container = box.up(*watcher, command=("/watch",))
    for _ in range(25):
        box.inside(container, "true")
    box.inside(container, "touch /stop")
    assert box("wait", container).stdout.strip() == "0"
    *found, counts = box("logs", container).stdout.strip().splitlines()
    assert not found, found[:3]
    assert int(counts.split()[1]) >= 10, "nothing was seen"


@in_containers
@withstands("own program", "the sealed program that stands between is written to", by=INSIDE)
def test_the_program_between_cannot_be_changed(box: Box) -> None:
    container = box.up("--init")
    script = (
        "exec 7</proc/1/exe; for i in $(seq 200); do echo x >/proc/self/fd/7 && echo WROTE; done"
    )
    assert "WROTE" not in box.attempt("exec", container, "sh", "-c", script).stdout
    assert box.inside(container, "readlink /proc/1/exe").startswith("/memfd:")


def test_sealed_means_sealed_from_the_first_moment() -> None:
    fd = stub.sealed()
    try:
        for attempt in (
            lambda: os.pwrite(fd, b"#!", 0),
            lambda: os.ftruncate(fd, 0),
            lambda: os.ftruncate(fd, 1 << 20),
        ):
            with pytest.raises(PermissionError):
                attempt()
    finally:
        os.close(fd)


@pytest.fixture
def outside_fd() -> Iterator[int]:
    """Give an inheritable descriptor of the host's root directory."""
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(fd, True)
    yield fd
    os.close(fd)


def with_descriptor(box: Box, fd: int, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of ours with a descriptor of the host's passed on to it."""
    return subprocess.run(
        box.line(*words), pass_fds=[fd], capture_output=True, text=True, timeout=60, check=False
    )


@in_containers
@withstands(
    "descriptors",
    "a working directory of /proc/self/fd/N, by `run` and by `exec`",
    "a program named /proc/self/fd/N/…",
    "descriptors of the caller's passed on",
    by=INSIDE,
)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_a_directory_that_the_caller_holds_is_no_way_out(
    box: Box, outside_fd: int, verb: str
) -> None:
    way = f"/proc/self/fd/{outside_fd}"
    place = [box.up()] if verb == "exec" else ["busybox"]
    start_with = ["exec"] if verb == "exec" else ["run", "--rm"]
    moved = with_descriptor(box, outside_fd, *start_with, "-w", way, *place, "ls")
    assert moved.returncode != 0
    assert "onggi" not in moved.stdout
    run = with_descriptor(box, outside_fd, *start_with, *place, f"{way}/bin/busybox", "true")
    assert run.returncode in (126, 127), run
    script = 'for fd in /proc/self/fd/*; do echo "${fd##*/} $(readlink "$fd")"; done'
    shown = with_descriptor(box, outside_fd, *start_with, *place, "sh", "-c", script)
    numbers = {int(line.split()[0]) for line in shown.stdout.splitlines()}
    assert numbers <= {0, 1, 2, 3}, shown.stdout  # 3 is the listing's own
    assert f"{outside_fd} /\n" not in shown.stdout


@in_containers
@withstands("descriptors", "an image whose WORKDIR is /proc/self/fd/N", by=INSIDE)
def test_an_image_cannot_choose_a_directory_outside(box: Box, tmp_path: Path) -> None:
    for number in range(3, 12):
        (tmp_path / "Dockerfile").write_text(f"FROM busybox\nWORKDIR /proc/self/fd/{number}\n")
        if box.attempt("build", "-q", "-t", "hostile", str(tmp_path)).returncode == 0:
            done = box.attempt("run", "--rm", "hostile", "ls", "-a", "../../..")
            box("rmi", "-f", "hostile")
            assert done.returncode != 0, done.stdout
    assert box.attempt("image", "inspect", "hostile").returncode != 0


@in_containers
@withstands("descriptors", "the caller's terminal opened as /dev/tty, or typed into", by=INSIDE)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_the_caller_s_terminal_stays_the_caller_s(box: Box, tmp_path: Path, verb: str) -> None:
    mounted = ("-v", f"{compiled(TYPES, tmp_path)}:/types:ro")
    words = ["run", "--rm", "-i", *mounted, "busybox"]
    if verb == "exec":
        words = ["exec", "-i", box.up(*mounted)]
    with Terminal(box.line(*words, "/types")) as person:
        shown = person.expect("terminal No such device or address")
        assert "TYPED" not in shown
        person.enter("\x04")
        assert person.wait() == 0


def test_a_directory_outside_the_root_is_noticed(tmp_path: Path) -> None:
    """The last line of defence by itself: a descriptor of the outside is open, and is entered."""

    def body() -> None:
        outside = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        inside = tmp_path / "root"
        os.makedirs(inside / "proc")
        os.chroot(inside)
        os.chdir("/")
        from onggi.linux import mount

        mount.mount("proc", "/proc", "proc", 0, "")
        with pytest.raises(FileNotFoundError):  # as getcwd(3) puts it that there is no path
            process.ChangeDirectory(f"/proc/self/fd/{outside}").apply(Context())

    run_in_child(body, "mount", "pid")


class Import(Step):
    """Import a module of files that nobody has imported."""

    __slots__ = ()

    def apply(self, context: Context) -> None:
        __import__("this")

    def describe(self) -> str:
        return "import a module"


@withstands("names", "a library or module of the image's loaded by what enters it")
def test_no_module_is_loaded_from_a_file_once_a_container_is_entered() -> None:
    """CVE-2019-14271: docker loaded the image's libnss into a process of the host's."""
    ours, theirs = channel.pair()
    context = Context()
    context.report_fd = theirs

    child = os.fork()
    if child == 0:
        start.confined(lambda: Import().apply(context), [], context)
    os.close(theirs)
    message, _ = channel.receive(ours)
    os.close(ours)
    os.waitpid(child, 0)
    told = failure.decode(message)
    assert told is not None
    assert "ModuleNotFoundError" in told.text


@withstands("names", "a library or module of the image's loaded by what enters it")
def test_no_module_is_loaded_from_a_file_by_exec() -> None:
    plan = enter.EntryPlan([], [], [Import()], [process.Execute(("true",), ())])
    ours = start_time(os.getpid())
    entry = enter.Entry(
        identifier="x", pid=os.getpid(), start_ticks=ours, cgroups=(), kinds=(), process={}
    )
    with pytest.raises(failure.StartFailed, match="ModuleNotFoundError"):
        enter.enter_planned(plan, entry, (0, 1, 2))


@withstands("descriptors", "a forged report through the descriptor that failures are told by")
def test_a_forged_failure_is_no_failure_of_ours() -> None:
    for number in ("x", "-1", "9" * 30, ""):
        assert failure.decode(b"failed\0program\0" + number.encode() + b"\0c\0a\0t") is None
    honest = failure.StartFailed("program", 2, "execve", "sh", "text")
    decoded = failure.decode(honest.encode())
    assert decoded is not None
    assert decoded.number == 2


@withstands("descriptors", "a forged report through the descriptor that failures are told by")
def test_only_a_child_of_ours_is_born() -> None:
    """Who is inside may have got at the descriptor by which a birth is told of."""
    ours, theirs = channel.pair()
    heard = enter.Heard()
    heard.is_ready = True
    for pid in (0, -1, 1, os.getpid(), os.getppid(), 1 << 40):
        assert heard.take(ours, stub.BIRTH, [], pid)
        assert heard.pid == 0, pid
    child = os.fork()
    if child == 0:
        channel.receive(theirs)
        os._exit(0)
    assert heard.take(ours, stub.BIRTH, [], child)
    os.waitpid(child, 0)
    os.close(ours)
    os.close(theirs)
    assert heard.pid == child


@withstands("descriptors", "a forged report through the descriptor that failures are told by")
@pytest.mark.parametrize("message", [b"hooks", b"devices", b"seccomp 3", b"terminal", b"created"])
def test_nothing_is_done_for_a_program_that_is_ready(message: bytes) -> None:
    """What comes then may be from the user's program, and asks the host for something."""
    ours, theirs = channel.pair()
    asked: list[bytes] = []

    def meet(said: bytes) -> bool:
        asked.append(said)
        return said == message

    channel.send(theirs, b"ready")
    channel.send(theirs, message, (0,) if message == b"terminal" else ())
    os.close(theirs)
    with pytest.raises((failure.StartFailed, Internal)):
        start.hear(ours, 0, process.Execute(("true",), ()), meet)
    os.close(ours)
    assert asked == [b"ready"]


@withstands("own program", "dumpable again after a change of user, where the host says so")
def test_a_change_of_user_leaves_us_undumpable() -> None:
    setting = Path("/proc/sys/fs/suid_dumpable")
    before = setting.read_text()

    def body() -> None:
        from onggi.linux import process as facts

        facts.set_dumpable(False)
        process.SwitchUser(1000, 1000, ()).apply(Context())
        assert not facts.dumpable()

    setting.write_text("1")
    try:
        run_in_child(body)
    finally:
        setting.write_text(before)


@withstands("targets", "a node of /dev exchanged for a link while its mode is set")
def test_a_device_s_mode_is_set_through_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image with a link to /dev has a volume mounted there, in which another container races."""
    victim = tmp_path / "shadow"
    victim.write_text("secret")
    victim.chmod(0o600)
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    make = device.mknod

    def make_and_swap(dirfd: int, name: str, mode: int, major: int, minor: int) -> None:
        make(dirfd, name, mode, major, minor)
        os.unlink(name, dir_fd=dirfd)
        os.symlink(victim, name, dir_fd=dirfd)

    context = Context()
    context.root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        devices.MakeDevice("/dev/zero", "c", 1, 5, mode=0o666).apply(context)
        assert (root / "dev/zero").stat().st_mode & 0o777 == 0o666
        monkeypatch.setattr(device, "mknod", make_and_swap)
        devices.MakeDevice("/dev/null", "c", 1, 3, mode=0o666, uid=7, gid=7).apply(context)
    finally:
        os.close(context.root_fd)
    status = victim.stat()
    assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (0o600, 0, 0)


@withstands("masks", "/dev/null is another file when a path is masked")
@pytest.mark.parametrize("kind", ["file", "link", "fifo", "other device"])
def test_what_hides_a_path_is_the_null_device(tmp_path: Path, kind: str) -> None:
    def body() -> None:
        root = tmp_path / "root"
        (root / "dev").mkdir(parents=True)
        (root / "masked").write_text("secret")
        null = root / "dev/null"
        if kind == "file":
            null.write_text("shown")
        elif kind == "link":
            null.symlink_to("/masked")
        elif kind == "fifo":
            os.mkfifo(null)
        else:
            os.mknod(null, 0o666 | 0o020000, os.makedev(1, 5))
        context = Context()
        mounts.BindRoot(str(root)).apply(context)
        with pytest.raises(OSError, match=r"No such device|symbolic links"):
            mounts.MaskPath("/masked").apply(context)

    run_in_child(body, "mount")


@in_containers
@withstands("masks", "/dev/null exchanged before `exec`", by=INSIDE)
def test_a_null_device_that_was_exchanged_is_not_handed_to_exec(box: Box) -> None:
    container = box.up()
    box.inside(container, "rm /dev/null; echo planted > /dev/null")
    done = box.attempt("exec", container, "cat")
    assert done.returncode != 0
    assert "planted" not in done.stdout


@in_containers
@withstands(
    "masks", "/dev/console and the terminal's master, in a volume where a link leads", by=INSIDE
)
def test_the_terminal_of_a_container_is_its_own(box: Box, tmp_path: Path) -> None:
    """The image leads a volume over its devices; in it lie links to what is the host's."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN ln -s /dev /x; ln -s /dev/pts /y\n")
    box("build", "-q", "-t", "console", str(tmp_path))
    plant = f"ln -s {victim} /v/console; ln -s /dev/ptmx /v/ptmx"
    box("run", "--rm", "-v", "shared:/v", "busybox", "sh", "-c", plant)
    script = "chmod 777 /dev/console; echo pwned > /dev/console"
    box.attempt("run", "--rm", "-t", "-v", "shared:/x", "console", "sh", "-c", script)
    assert victim.read_text() == "untouched"
    assert victim.stat().st_mode & 0o777 == 0o644
    hosts = box.attempt("run", "--rm", "-t", "-v", "shared:/y", "console", "true")
    box("rmi", "-f", "console")
    assert hosts.returncode == 125, "it has been given a terminal of the host's"


@in_containers
@withstands(
    "targets",
    "a target swapped for a link by another container that shares a volume",
    "a target that is a link in the image or a volume",
    by=INSIDE,
)
@pytest.mark.time_limit(180)
def test_a_race_for_a_mount_s_target_stays_inside(box: Box, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    program = compiled(SWAPPER, tmp_path)
    racer = box.up(
        *("-v", f"{program}:/swap:ro", "-v", "shared:/v"), command=("/swap", str(outside))
    )
    options = ["-v", "shared:/vol", "-v", "other:/vol/d/made", "--tmpfs", "/vol/l/also"]
    for _ in range(20):
        box.attempt("run", "--rm", *options, "busybox", "true")
    box("run", "--rm", "-v", "shared:/v", "busybox", "touch", "/v/stop")
    box("wait", racer)
    assert int(box("logs", racer).stdout) > 100, "the race was never on"
    assert list(outside.iterdir()) == []


@in_containers
@withstands("caller", "umask, directory and ignored signals of the caller's passed on", by=INSIDE)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_nothing_of_the_caller_s_state_is_inherited(box: Box, verb: str) -> None:
    words = ["exec", box.up()] if verb == "exec" else ["run", "--rm", "busybox"]
    script = "umask; grep -E 'SigIgn|SigBlk' /proc/self/status; pwd"
    line = box.line(*words, "sh", "-c", script)
    block = "import os, signal, sys; signal.pthread_sigmask(0, {1, 2, 3, 10, 15, 17}); "
    block += "os.execv(sys.argv[1], sys.argv[1:])"
    hostile = ["sh", "-c", "umask 777; trap '' TERM HUP USR1; exec \"$@\"", "sh"]
    hostile += [sys.executable, "-ISc", block]
    done = subprocess.run(
        [*hostile, *line], capture_output=True, text=True, timeout=60, cwd="/proc", check=True
    )
    umask, _, blocked, _, ignored, directory = done.stdout.split()
    assert int(blocked, 16) == 0
    # Signals 32 and 33 are the C library's own: its posix_spawn(3) has children ignore them.
    assert (umask, int(ignored, 16) & ~(3 << 31), directory) == ("0022", 0, "/")


@withstands("exhaustion", "an exemption from the memory killer, inherited")
def test_no_exemption_from_the_memory_killer_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few machines of tests may lower a score, so the file is read as if it had been."""
    written = []
    scores = [b"0\n", b"300\n", b"-500\n"]
    monkeypatch.setattr(procfs, "read", lambda _proc, _file: scores.pop(0))
    monkeypatch.setattr(procfs, "write", lambda _proc, file, text: written.append((file, text)))
    context = Context()
    for pid in (75, 76, 77):
        context.pid = pid
        process.EndOomExemption().apply(context)
    assert written == [("77/oom_score_adj", "0")]


@in_containers
@withstands("caller", "capabilities that the caller holds as inheritable or ambient", by=INSIDE)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_capabilities_of_the_caller_s_are_left_behind(box: Box, verb: str) -> None:
    words = ["exec", box.up()] if verb == "exec" else ["run", "--rm", "busybox"]
    line = box.line(*words, "sh", "-c", "grep Cap /proc/self/status")
    all_of_them = [
        "setpriv",
        "--inh-caps=+sys_admin,+net_raw",
        "--ambient-caps=+sys_admin,+net_raw",
    ]
    done = subprocess.run(
        [*all_of_them, *line], capture_output=True, text=True, timeout=60, check=True
    )
    sets = dict(each.split(":\t") for each in done.stdout.strip().splitlines())
    assert (sets["CapInh"], sets["CapAmb"]) == ("0" * 16, "0" * 16)
    assert sets["CapPrm"] == sets["CapEff"] == sets["CapBnd"] == f"{0xA80425FB:016x}"


@withstands("process ids", "a process id that another process has by now")
def test_a_process_that_is_another_by_now_is_not_entered() -> None:
    context = Context()
    right = start_time(os.getpid())
    with pytest.raises(ProcessLookupError):
        namespaces.HoldProcess(os.getpid(), right - 1).apply(context)
    os.close(context.pidfd)
    namespaces.HoldProcess(os.getpid(), right).apply(context)
    os.close(context.pidfd)
