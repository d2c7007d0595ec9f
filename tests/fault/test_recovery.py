"""What a command makes of what it finds: states that lie, reboots, others who are at it, too."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onggi.linux import cgroup, identity
from support.command import Onggi
from support.order import MONITOR, Order
from support.patience import SLOWER
from support.requirements import requires
from support.threats import withstands

pytestmark = requires("root", "overlayfs", "cgroup-memory", "cgroup-pids", "busybox")

NOBODYS = "no container's ID begins so"
STATUS = "{{.State.Status}}"


class Jar:
    """A store with an image, and containers whose monitors can be killed."""

    def __init__(self, onggi: Onggi) -> None:
        self.onggi = onggi
        self.order = Order(onggi.root, NOBODYS)

    def start(self, name: str, *options: str) -> str:
        words = ("run", "--detach", "--name", name, *options, "busybox", "sleep", "600")
        return self.onggi(*words).stdout.strip()

    def pid(self, identifier: str) -> int:
        return int(self.order.running()[identifier]["pid"])

    def kill_monitor(self, identifier: str) -> None:
        """Kill the monitor, and wait until it has ended."""
        end(monitor_with(self.onggi.root / "run" / identifier / "monitor"))

    def state_file(self, identifier: str) -> Path:
        return self.onggi.root / "containers" / identifier / "state.json"

    def say(self, identifier: str, **members: Any) -> None:
        """Have the state say something else than it did."""
        path = self.state_file(identifier)
        path.write_text(json.dumps({**json.loads(path.read_text()), **members}))

    def status(self, name: str) -> str:
        return self.onggi("inspect", "--format", STATUS, name).stdout.strip()


@pytest.fixture
def jar(onggi: Onggi) -> Iterator[Jar]:
    onggi("bootstrap", "--quiet", "busybox")
    yield Jar(onggi)
    left = onggi("ps", "--all", "--quiet").stdout.split()
    if left:
        onggi("rm", "--force", *left)


def end(pid: int) -> None:
    """Kill a process that is not our child, and wait until it has ended."""
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)


def monitor_with(lock: Path) -> int:
    """Find the monitor that has a container's lock; one that settles has no name for a moment."""
    deadline = time.monotonic() + 10 * SLOWER
    while time.monotonic() < deadline:
        for pid in monitors():
            if str(lock) in open_files(pid):
                return pid
    raise AssertionError(f"nobody holds {lock}")


def monitors() -> Iterator[int]:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path("/proc", pid, "comm").read_text() == f"{MONITOR}\n":
                yield int(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while it was looked at


def open_files(pid: int) -> list[str]:
    try:
        return [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []  # it ended, or is somebody else's


@withstands("killed", "a state that lies or makes no sense")
def test_a_state_tells_nobody_what_to_remove(jar: Jar, tmp_path: Path) -> None:
    """Where things lie follows from the ID; what is said in the file about it is not even read."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letter").write_text("dear")
    place = next(one.mountpoint for one in cgroup.hierarchies() if "pids" in one.controllers)
    group = Path(place) / f"onggi-test-{os.urandom(4).hex()}"
    group.mkdir()
    called = tmp_path / "called"
    try:
        one = jar.start("lying")
        pid = jar.pid(one)
        jar.kill_monitor(one)
        watch = {
            "directory": str(precious),
            "run_directory": str(precious),
            "cgroups": [str(group)],
            "after": ["onggi.store.trees:remove", str(precious)],
            "interactive": False,
            "terminal": False,
            "tied": False,
        }
        jar.say(one, watch=watch, cgroups=[str(group)], run_directory=str(precious))
        end(pid)
        assert jar.status("lying") == "exited"
        assert (precious / "letter").read_text() == "dear"
        assert group.is_dir()
        assert not called.exists()
        jar.order.wait()
    finally:
        group.rmdir()


@withstands("killed", "a state that lies or makes no sense")
@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "1"}', '{"status": 7}', '"running"'])
def test_a_state_that_makes_no_sense(text: str, jar: Jar) -> None:
    one = jar.start("garbled")
    pid = jar.pid(one)
    jar.kill_monitor(one)
    jar.state_file(one).write_text(text)
    jar.onggi("ps", "--all")
    assert jar.status("garbled") == "exited"
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    jar.onggi("rm", "garbled")
    jar.order.wait()


@withstands("process ids", "a process id that a reboot has given to another process")
def test_a_process_of_another_boot_is_nobody(jar: Jar) -> None:
    """A reboot gives out the same numbers again: who has them now is left alone."""
    one = jar.start("before")
    pid = jar.pid(one)
    jar.kill_monitor(one)
    with subprocess.Popen(["sleep", "600"]) as stranger:
        start_ticks = identity.start_time(stranger.pid)
        other_boot = "00000000-0000-0000-0000-000000000000"
        jar.say(one, pid=stranger.pid, start_ticks=start_ticks, boot_id=other_boot)
        end(pid)
        assert jar.status("before") == "exited"
        assert jar.onggi.attempt("kill", "before").returncode == 1
        jar.onggi("rm", "--force", "before")
        assert stranger.poll() is None
        stranger.kill()
    jar.order.wait()


def test_run_directories_that_a_reboot_took(jar: Jar) -> None:
    """What was to be removed at its end is removed by the first command of the next boot."""
    kept, gone = jar.start("kept"), jar.start("gone", "--rm")
    for one in (kept, gone):
        pid = jar.pid(one)
        jar.kill_monitor(one)
        end(pid)
        for path in (jar.onggi.root / "run" / one).iterdir():
            path.unlink()
        (jar.onggi.root / "run" / one).rmdir()
    jar.say(gone, status="exited", pid=0)  # ended, and then the power went
    (jar.onggi.root / "run" / "boot").write_text("another")
    assert jar.status("kept") == "exited"
    assert set(jar.order.records()) == {kept}
    jar.order.wait()


@withstands("at once", "several that put the same container right")
def test_two_that_put_the_same_right(jar: Jar) -> None:
    names = [jar.start(f"orphan{number}") for number in range(4)]
    for one in names[:2]:
        jar.kill_monitor(one)
    for one in names[2:]:
        pid = jar.pid(one)
        jar.kill_monitor(one)
        end(pid)
    at_once = [jar.onggi.start("ps", "--all", "--no-trunc") for _ in range(5)]
    for process in at_once:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    jar.order.wait()  # which holds that each that runs has one monitor
    assert set(jar.order.running()) == set(names[:2])


@withstands("at once", "many commands on one store at once")
@pytest.mark.time_limit(180)
def test_many_commands_on_one_store(jar: Jar) -> None:
    """Each ends as if it were alone, whatever the others find half made just then."""
    run = ("run", "--rm", "-v", "/unnamed", "busybox", "echo", "well")
    lines = [run, ("ps", "--all"), run, ("run", "--detach", "--rm", "busybox", "true")]
    for _ in range(4):
        at_once = [jar.onggi.start(*words) for words in lines]
        for words, process in zip(lines, at_once, strict=True):
            output, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (0, ""), words
            assert words is not run or output == "well\n"
    jar.order.wait()
    assert not jar.order.records()


def test_a_container_with_a_terminal_loses_its_monitor(jar: Jar) -> None:
    script = "trap '' HUP; while :; do sleep 0.1; done"
    words = ("run", "--detach", "--tty", "--name", "deaf", "busybox", "sh", "-c", script)
    one = jar.onggi(*words).stdout.strip()
    jar.kill_monitor(one)
    assert jar.status("deaf") == "running"
    jar.order.wait()
    jar.onggi("kill", "deaf")
    jar.onggi("wait", "deaf")
    assert jar.status("deaf") == "exited"


def test_who_waits_goes_on_with_the_next_monitor(jar: Jar) -> None:
    one = jar.start("long")
    waiting = jar.onggi.start("--debug", "wait", "long")
    for _ in range(2):
        jar.kill_monitor(one)
        jar.onggi("ps")
    jar.onggi("kill", "long")
    output, errors = waiting.communicate(timeout=60)
    assert (waiting.returncode, errors) == (0, "")
    assert output.strip() in ("137", "255")  # kernels before 6.15 tell it to the parent alone
    jar.order.wait()
